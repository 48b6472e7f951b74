from django.urls import path

from operators.api import OperatorLoginView, OperatorLogoutView, OperatorRefreshView, OperatorTenantViewSet

urlpatterns = [
    path("auth/login", OperatorLoginView.as_view(), name="operator-login"),
    path("auth/refresh", OperatorRefreshView.as_view(), name="operator-refresh"),
    path("auth/logout", OperatorLogoutView.as_view(), name="operator-logout"),
    path("tenants", OperatorTenantViewSet.as_view({"get": "list", "post": "create"}), name="operator-tenant-list"),
    path("tenants/<uuid:pk>", OperatorTenantViewSet.as_view({"get": "retrieve"}), name="operator-tenant-detail"),
    path(
        "tenants/<uuid:pk>/suspend", OperatorTenantViewSet.as_view({"post": "suspend"}), name="operator-tenant-suspend"
    ),
    path("tenants/<uuid:pk>/resume", OperatorTenantViewSet.as_view({"post": "resume"}), name="operator-tenant-resume"),
]
