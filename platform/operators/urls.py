from django.urls import path

from operators.api import (
    OperatorLoginView,
    OperatorLogoutView,
    OperatorRefreshView,
    OperatorStepUpView,
    OperatorTenantViewSet,
)
from operators.api_keys import KeyViewSet
from operators.api_support import SupportViewSet

urlpatterns = [
    path("auth/login", OperatorLoginView.as_view(), name="operator-login"),
    path("auth/refresh", OperatorRefreshView.as_view(), name="operator-refresh"),
    path("auth/logout", OperatorLogoutView.as_view(), name="operator-logout"),
    path("auth/step-up", OperatorStepUpView.as_view(), name="operator-step-up"),
    path("tenants", OperatorTenantViewSet.as_view({"get": "list", "post": "create"}), name="operator-tenant-list"),
    path("tenants/<uuid:pk>", OperatorTenantViewSet.as_view({"get": "retrieve"}), name="operator-tenant-detail"),
    path(
        "tenants/<uuid:pk>/suspend", OperatorTenantViewSet.as_view({"post": "suspend"}), name="operator-tenant-suspend"
    ),
    path("tenants/<uuid:pk>/resume", OperatorTenantViewSet.as_view({"post": "resume"}), name="operator-tenant-resume"),
    path("tenants/<uuid:pk>/support-access", SupportViewSet.as_view({"post": "create"}), name="operator-support-list"),
    path("support-access/<uuid:pk>", SupportViewSet.as_view({"delete": "destroy"}), name="operator-support-detail"),
    path("keys", KeyViewSet.as_view({"get": "list"}), name="operator-key-list"),
    path("keys/rotate", KeyViewSet.as_view({"post": "rotate"}), name="operator-key-rotate"),
    path("keys/<str:kid>/retire", KeyViewSet.as_view({"post": "retire"}), name="operator-key-retire"),
]
