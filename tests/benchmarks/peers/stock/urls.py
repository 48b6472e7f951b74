from django.urls import include, path
from rest_framework.permissions import AllowAny
from rest_framework.routers import DefaultRouter
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from tests.benchmarks.peers.stock.api import ProjectViewSet

router = DefaultRouter()
router.register("projects", ProjectViewSet)

urlpatterns = [
    path("api/v1/", include(router.urls)),
    path("api/token/", TokenObtainPairView.as_view(permission_classes=[AllowAny])),
    path("api/token/refresh/", TokenRefreshView.as_view(permission_classes=[AllowAny])),
]
