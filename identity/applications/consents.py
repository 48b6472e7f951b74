"""What people let applications do: giving it, and taking it back. Every function is one transaction."""

from uuid import UUID

from django.db import transaction

from identity.applications.models import Application, Consent
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from tenants.audit.services import Target, record


@transaction.atomic
def give(*, application: Application, user_id: UUID, scope: frozenset[str]) -> None:
    """Note that a person lets an application do this, beside what they let it do before."""
    consent, _ = Consent.objects.select_for_update().get_or_create(
        user_id=user_id, application=application, defaults={"tenant_id": application.tenant_id, "scope": ""}
    )
    before = frozenset(consent.scopes)
    if scope <= before:
        return
    consent.scope = " ".join(sorted(before | scope))
    consent.save(update_fields=["scope", "given_at"])
    record(
        action="application.consent_given",
        tenant_id=application.tenant_id,
        targets=[Target("application", application.pk, application.name)],
        changes={"scopes": [sorted(before), consent.scopes]},
    )


@transaction.atomic
def withdraw(*, application_id: UUID, user_id: UUID) -> None:
    """Take back all that a person lets an application do. Its tokens are refused from their next request on.

    Raises:
        Consent.DoesNotExist: they let it do nothing.
    """
    held = Consent.objects.select_for_update(of=("self",)).select_related("application")
    consent = held.get(application_id=application_id, user_id=user_id)
    sessions.end_sessions_through(application_id=application_id, user_id=user_id, reason=EndReason.ENDED_BY_PERSON)
    application = consent.application
    consent.delete()
    record(
        action="application.consent_withdrawn",
        tenant_id=application.tenant_id,
        targets=[Target("application", application.pk, application.name)],
        changes={"scopes": [consent.scopes, None]},
    )
