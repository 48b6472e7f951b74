"""Reading applications, and what people agreed to."""

from uuid import UUID

from django.db.models import QuerySet

from identity.applications.models import Application, Consent
from tenants.registry.models import TenantStatus


def applications_of(tenant_id: UUID | None) -> QuerySet[Application]:
    """Return the applications of one tenant, with their secrets' descriptions; outside any tenant there are none."""
    if tenant_id is None:
        return Application.objects.none()
    return Application.objects.filter(tenant_id=tenant_id).prefetch_related("secrets")


def application_of(*, tenant_id: UUID, application_id: UUID) -> Application:
    """Return one application of a tenant.

    Raises:
        Application.DoesNotExist: the tenant has no such application.
    """
    return applications_of(tenant_id).get(pk=application_id)


def usable_application(application_id: UUID) -> Application | None:
    """Return an application that is switched on, with its tenant, if that one is open."""
    rows = Application.objects.filter(pk=application_id, is_active=True, tenant__status=TenantStatus.ACTIVE)
    return rows.select_related("tenant").first()


def consented(*, user_id: UUID, application_id: UUID) -> frozenset[str]:
    """Return what a person lets an application do; nothing where they were never asked, or have taken it back."""
    consent = Consent.objects.filter(user_id=user_id, application_id=application_id).first()
    return frozenset(consent.scopes) if consent is not None else frozenset()


def consents_of(user_id: UUID | None) -> QuerySet[Consent]:
    """Return what a person has agreed to, in all their tenants, with each application and its tenant."""
    if user_id is None:
        return Consent.objects.none()
    return Consent.objects.filter(user_id=user_id).select_related("application", "tenant")
