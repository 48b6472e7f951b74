from django.urls import path

from operators.api import (
    OperatorLoginView,
    OperatorLogoutView,
    OperatorRefreshView,
    OperatorStepUpView,
    OperatorTenantViewSet,
)
from operators.api_exports import ExportViewSet
from operators.api_fleet import FleetViewSet
from operators.api_jobs import JobViewSet
from operators.api_keys import KeyViewSet
from operators.api_lifecycle import LifecycleViewSet
from operators.api_support import SupportViewSet

urlpatterns = [
    path("auth/login", OperatorLoginView.as_view(), name="operator-login"),
    path("auth/refresh", OperatorRefreshView.as_view(), name="operator-refresh"),
    path("auth/logout", OperatorLogoutView.as_view(), name="operator-logout"),
    path("auth/step-up", OperatorStepUpView.as_view(), name="operator-step-up"),
    path("tenants", OperatorTenantViewSet.as_view({"get": "list", "post": "create"}), name="operator-tenant-list"),
    path(
        "tenants/<uuid:pk>",
        LifecycleViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="operator-tenant-detail",
    ),
    path(
        "tenants/<uuid:pk>/suspend", OperatorTenantViewSet.as_view({"post": "suspend"}), name="operator-tenant-suspend"
    ),
    path("tenants/<uuid:pk>/resume", OperatorTenantViewSet.as_view({"post": "resume"}), name="operator-tenant-resume"),
    path("tenants/<uuid:pk>/archive", LifecycleViewSet.as_view({"post": "archive"}), name="operator-tenant-archive"),
    path("tenants/<uuid:pk>/restore", LifecycleViewSet.as_view({"post": "restore"}), name="operator-tenant-restore"),
    path("tenants/<uuid:pk>/export", LifecycleViewSet.as_view({"post": "export"}), name="operator-tenant-export"),
    path("tenants/<uuid:pk>/clone", LifecycleViewSet.as_view({"post": "clone"}), name="operator-tenant-clone"),
    path("exports/<uuid:pk>", ExportViewSet.as_view({"get": "retrieve"}), name="operator-export-detail"),
    path("exports/<uuid:pk>/restore", ExportViewSet.as_view({"post": "restore"}), name="operator-export-restore"),
    path("jobs", JobViewSet.as_view({"get": "list"}), name="operator-job-list"),
    path("jobs/<uuid:pk>", JobViewSet.as_view({"get": "retrieve"}), name="operator-job-detail"),
    path("jobs/<uuid:pk>/cancel", JobViewSet.as_view({"post": "cancel"}), name="operator-job-cancel"),
    path("fleet", FleetViewSet.as_view({"get": "retrieve"}), name="operator-fleet"),
    path("fleet/migrate", FleetViewSet.as_view({"post": "migrate"}), name="operator-fleet-migrate"),
    path("tenants/<uuid:pk>/support-access", SupportViewSet.as_view({"post": "create"}), name="operator-support-list"),
    path("support-access/<uuid:pk>", SupportViewSet.as_view({"delete": "destroy"}), name="operator-support-detail"),
    path("keys", KeyViewSet.as_view({"get": "list"}), name="operator-key-list"),
    path("keys/rotate", KeyViewSet.as_view({"post": "rotate"}), name="operator-key-rotate"),
    path("keys/<str:kid>/retire", KeyViewSet.as_view({"post": "retire"}), name="operator-key-retire"),
]
