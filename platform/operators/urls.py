from django.urls import path

from operators.api import (
    OperatorEnrollView,
    OperatorLoginView,
    OperatorLogoutView,
    OperatorPasskeyOptionsView,
    OperatorRefreshView,
    OperatorSecondFactorView,
    OperatorStepUpView,
)
from operators.api_audit import OperatorAuditEventViewSet
from operators.api_domains import TenantDomainViewSet
from operators.api_exports import ExportViewSet
from operators.api_fleet import FleetRunViewSet, FleetTenantViewSet, FleetViewSet
from operators.api_jobs import JobViewSet
from operators.api_keys import KeyViewSet
from operators.api_lifecycle import LifecycleViewSet
from operators.api_limits import TenantLimitsView
from operators.api_members import TenantMemberViewSet
from operators.api_staff import OperatorMeView, OperatorSessionViewSet, StaffViewSet
from operators.api_support import SupportViewSet
from operators.api_tenants import OperatorTenantViewSet

urlpatterns = [
    path("auth/login", OperatorLoginView.as_view(), name="operator-login"),
    path("auth/second-factor", OperatorSecondFactorView.as_view(), name="operator-second-factor"),
    path("auth/second-factor/enroll", OperatorEnrollView.as_view(), name="operator-second-factor-enroll"),
    path("auth/passkey/options", OperatorPasskeyOptionsView.as_view(), name="operator-passkey-options"),
    path("auth/refresh", OperatorRefreshView.as_view(), name="operator-refresh"),
    path("auth/logout", OperatorLogoutView.as_view(), name="operator-logout"),
    path("auth/step-up", OperatorStepUpView.as_view(), name="operator-step-up"),
    path("audit-events", OperatorAuditEventViewSet.as_view({"get": "list"}), name="operator-audit-event-list"),
    path(
        "audit-events/export", OperatorAuditEventViewSet.as_view({"get": "export"}), name="operator-audit-event-export"
    ),
    path(
        "audit-events/verify", OperatorAuditEventViewSet.as_view({"get": "verify"}), name="operator-audit-event-verify"
    ),
    path(
        "audit-events/<uuid:pk>",
        OperatorAuditEventViewSet.as_view({"get": "retrieve"}),
        name="operator-audit-event-detail",
    ),
    path("me", OperatorMeView.as_view(), name="operator-me"),
    path(
        "me/sessions",
        OperatorSessionViewSet.as_view({"get": "list", "delete": "destroy_others"}),
        name="operator-session-list",
    ),
    path(
        "me/sessions/<uuid:pk>", OperatorSessionViewSet.as_view({"delete": "destroy"}), name="operator-session-detail"
    ),
    path("staff", StaffViewSet.as_view({"get": "list", "post": "create"}), name="operator-staff-list"),
    path(
        "staff/<uuid:pk>",
        StaffViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="operator-staff-detail",
    ),
    path("staff/<uuid:pk>/disable", StaffViewSet.as_view({"post": "disable"}), name="operator-staff-disable"),
    path("staff/<uuid:pk>/enable", StaffViewSet.as_view({"post": "enable"}), name="operator-staff-enable"),
    path("tenants", OperatorTenantViewSet.as_view({"get": "list", "post": "create"}), name="operator-tenant-list"),
    path(
        "tenants/<uuid:pk>",
        OperatorTenantViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="operator-tenant-detail",
    ),
    path(
        "tenants/<uuid:pk>/suspend", OperatorTenantViewSet.as_view({"post": "suspend"}), name="operator-tenant-suspend"
    ),
    path("tenants/<uuid:pk>/resume", OperatorTenantViewSet.as_view({"post": "resume"}), name="operator-tenant-resume"),
    path("tenants/<uuid:pk>/archive", LifecycleViewSet.as_view({"post": "archive"}), name="operator-tenant-archive"),
    path("tenants/<uuid:pk>/restore", LifecycleViewSet.as_view({"post": "restore"}), name="operator-tenant-restore"),
    path("tenants/<uuid:pk>/export", LifecycleViewSet.as_view({"post": "export"}), name="operator-tenant-export"),
    path(
        "tenants/<uuid:pk>/restore/confirm",
        LifecycleViewSet.as_view({"post": "confirm_restore"}),
        name="operator-tenant-restore-confirm",
    ),
    path(
        "tenants/<uuid:pk>/restore/undo",
        LifecycleViewSet.as_view({"post": "undo_restore"}),
        name="operator-tenant-restore-undo",
    ),
    path(
        "tenants/<uuid:pk>/invite-owner",
        OperatorTenantViewSet.as_view({"post": "invite_owner"}),
        name="operator-tenant-invite-owner",
    ),
    path("tenants/<uuid:pk>/limits", TenantLimitsView.as_view(), name="operator-tenant-limits"),
    path(
        "tenants/<uuid:pk>/domains",
        TenantDomainViewSet.as_view({"get": "list", "post": "create"}),
        name="operator-tenant-domain-list",
    ),
    path(
        "tenants/<uuid:pk>/domains/<uuid:domain_id>",
        TenantDomainViewSet.as_view({"delete": "destroy"}),
        name="operator-tenant-domain-detail",
    ),
    path("tenants/<uuid:pk>/members", TenantMemberViewSet.as_view({"get": "list"}), name="operator-tenant-member-list"),
    path(
        "tenants/<uuid:pk>/members/<uuid:member_id>/end-sessions",
        TenantMemberViewSet.as_view({"post": "end_sessions"}),
        name="operator-tenant-member-end-sessions",
    ),
    path(
        "tenants/<uuid:pk>/members/<uuid:member_id>/reset-password",
        TenantMemberViewSet.as_view({"post": "reset_password"}),
        name="operator-tenant-member-reset-password",
    ),
    path("tenants/<uuid:pk>/clone", LifecycleViewSet.as_view({"post": "clone"}), name="operator-tenant-clone"),
    path("exports/<uuid:pk>", ExportViewSet.as_view({"get": "retrieve"}), name="operator-export-detail"),
    path("exports/<uuid:pk>/restore", ExportViewSet.as_view({"post": "restore"}), name="operator-export-restore"),
    path("jobs", JobViewSet.as_view({"get": "list"}), name="operator-job-list"),
    path("jobs/<uuid:pk>", JobViewSet.as_view({"get": "retrieve"}), name="operator-job-detail"),
    path("jobs/<uuid:pk>/pause", JobViewSet.as_view({"post": "pause"}), name="operator-job-pause"),
    path("jobs/<uuid:pk>/resume", JobViewSet.as_view({"post": "resume"}), name="operator-job-resume"),
    path("jobs/<uuid:pk>/cancel", JobViewSet.as_view({"post": "cancel"}), name="operator-job-cancel"),
    path("fleet", FleetViewSet.as_view({"get": "retrieve"}), name="operator-fleet"),
    path("fleet/runs", FleetRunViewSet.as_view({"get": "list"}), name="operator-fleet-run-list"),
    path("fleet/tenants", FleetTenantViewSet.as_view({"get": "list"}), name="operator-fleet-tenant-list"),
    path("fleet/retry", FleetViewSet.as_view({"post": "retry"}), name="operator-fleet-retry"),
    path("fleet/migrate", FleetViewSet.as_view({"post": "migrate"}), name="operator-fleet-migrate"),
    path("tenants/<uuid:pk>/support-access", SupportViewSet.as_view({"post": "create"}), name="operator-support-list"),
    path("support-access", SupportViewSet.as_view({"get": "list"}), name="operator-support-accesses"),
    path(
        "support-access/<uuid:pk>",
        SupportViewSet.as_view({"get": "retrieve", "delete": "destroy"}),
        name="operator-support-detail",
    ),
    path("support-access/<uuid:pk>/token", SupportViewSet.as_view({"post": "token"}), name="operator-support-token"),
    path("keys", KeyViewSet.as_view({"get": "list"}), name="operator-key-list"),
    path("keys/rotate", KeyViewSet.as_view({"post": "rotate"}), name="operator-key-rotate"),
    path("keys/<str:kid>/retire", KeyViewSet.as_view({"post": "retire"}), name="operator-key-retire"),
]
