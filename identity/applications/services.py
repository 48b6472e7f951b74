"""Changing applications, and knowing them by their secrets: every function is one transaction.

Whoever changes an application holds the lock on its row; so does whoever gives it tokens. `held` is always what the
caller's own token holds: nobody lets a program do what they may not do themselves.
"""

import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from identity.applications.errors import ApplicationLimit, PublicApplication
from identity.applications.models import Application, ApplicationSecret
from identity.clients import secrets
from identity.clients.errors import TooManySecrets
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from permissions import policy, scopes
from permissions.errors import refuse_more_than
from tenants.audit.services import Target, record
from tenants.registry import services as registry

_DESCRIBED = ("name", "homepage_url", "logo_url", "redirect_uris", "scopes", "is_active")
# Whoever changes one of these could act as the application, for everybody who lets it.
_POWERS = frozenset({"redirect_uris", "is_active"})


@transaction.atomic
def create_application(
    *,
    tenant_id: UUID,
    by: UUID,
    held: frozenset[str],
    scope: Iterable[str],
    details: Mapping[str, Any],
) -> tuple[Application, str | None]:
    """Register an application, and return it with its first secret, if it can keep one; nobody sees that again.

    Args:
        details: ``name`` and ``redirect_uris``, and any of ``is_confidential``, ``homepage_url`` and ``logo_url``.

    Raises:
        ValidationError: a scope does not exist, or no application can hold it.
        ScopeNotHeld: the caller does not hold a scope.
        ApplicationLimit: the tenant has as many as it may; exact, however many are registered at once.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    if Application.objects.filter(tenant_id=tenant_id).count() >= settings.APPLICATION_LIMIT:
        raise ApplicationLimit
    application = Application.objects.create(
        tenant_id=tenant_id, scope=_grantable(scope, held), created_by=by, **details
    )
    secret = _add_secret(application, expires_at=None)[1] if application.is_confidential else None
    _record("application.created", application, {key: [None, value] for key, value in _described(application).items()})
    return application, secret


@transaction.atomic
def change_application(
    *, tenant_id: UUID, application_id: UUID, held: frozenset[str], changes: Mapping[str, Any]
) -> Application:
    """Change an application. Switched off, or with fewer scopes, it is refused from its next request on: what it does
    for whom ends, and they let it in anew.

    Args:
        changes: any of ``name``, ``homepage_url``, ``logo_url``, ``redirect_uris``, ``scopes`` and ``is_active``.

    Raises:
        Application.DoesNotExist: the tenant has no such application.
        ValidationError: a scope does not exist, or no application can hold it.
        ScopeNotHeld: it would gain a scope, or lead somewhere else, or be switched on, with one that the caller does
            not hold.
    """
    application = _locked(tenant_id, application_id)
    before = _described(application)
    if "scopes" in changes:
        application.scope = _grantable(changes["scopes"], held | frozenset(application.scopes))
    for name in changes.keys() - {"scopes"}:
        setattr(application, name, changes[name])
    after = _described(application)
    changed = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
    if application.is_active and _POWERS & changed.keys():
        refuse_more_than(held, application.scopes)
    if not changed:
        return application
    application.save(update_fields=["name", "homepage_url", "logo_url", "redirect_uris", "scope", "is_active"])
    if not application.is_active or scopes.missing(frozenset(application.scopes), before["scopes"]):
        _end_all(application)
    _record("application.changed", application, changed)
    return application


@transaction.atomic
def delete_application(*, tenant_id: UUID, application_id: UUID) -> None:
    """Delete an application, with what people agreed to. It is refused from its next request on.

    Raises:
        Application.DoesNotExist: the tenant has no such application.
    """
    application = _locked(tenant_id, application_id)
    _end_all(application)
    _record("application.deleted", application, {"scopes": [application.scopes, None]})
    application.delete()


@transaction.atomic
def add_secret(
    *, tenant_id: UUID, application_id: UUID, held: frozenset[str], expires_at: datetime | None
) -> tuple[ApplicationSecret, str]:
    """Give an application a second secret, so that the first one can be replaced without a gap; nobody sees it again.

    Raises:
        Application.DoesNotExist: the tenant has no such application.
        PublicApplication: it can keep none.
        ScopeNotHeld: it holds more than the caller, who could go on as the application.
        TooManySecrets: it has two live ones.
    """
    application = _locked(tenant_id, application_id)
    if not application.is_confidential:
        raise PublicApplication
    refuse_more_than(held, application.scopes)
    own = ApplicationSecret.objects.filter(application=application)
    if secrets.live(own).count() >= secrets.LIVE_AT_ONCE:
        raise TooManySecrets
    row, text = _add_secret(application, expires_at=expires_at)
    changes: dict[str, list[Any]] = {"hint": [None, row.hint], "expires_at": [None, expires_at]}
    _record("application.secret_added", application, changes)
    return row, text


@transaction.atomic
def delete_secret(*, tenant_id: UUID, application_id: UUID, secret_id: UUID) -> None:
    """Delete a secret. What the application does for people ends, whichever secret that came from: who has a stolen one
    has what was had by it.

    Raises:
        Application.DoesNotExist, ApplicationSecret.DoesNotExist: the tenant has no such application, or that no such
            secret.
    """
    application = _locked(tenant_id, application_id)
    secret = ApplicationSecret.objects.get(application=application, pk=secret_id)
    hint = secret.hint
    secret.delete()
    _end_all(application)
    _record("application.secret_deleted", application, {"hint": [hint, None]})


def authenticate(*, application_id: UUID, secret: str | None) -> Application | None:
    """Return the application that says it is this one, with its tenant, if it is good now: a confidential one by its
    secret, a public one by its name alone; None says nothing about why not.
    """
    rows = Application.objects.filter(pk=application_id, is_active=True).select_related("tenant")
    application = rows.first()
    if application is None or application.is_confidential != (secret is not None):
        return None
    if secret is None:
        return application
    digest = secrets.digest_of(secret)
    live = secrets.live(ApplicationSecret.objects.filter(application_id=application_id)).defer(None)
    found = [row for row in live if hmac.compare_digest(bytes(row.digest), digest)]
    if not found:
        return None
    _note_use(found[0])
    return application


def prune_secrets(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` secrets that expired `keep` ago, and return how many."""
    return secrets.prune(ApplicationSecret.objects.all(), keep=keep, limit=limit)


def _grantable(wanted: Iterable[str], held: frozenset[str]) -> str:
    asked = frozenset(wanted)
    unknown = asked - policy.delegable()
    if unknown:
        message = f"No application can hold: {' '.join(sorted(unknown))}."
        raise ValidationError({"scopes": ValidationError(message, code="scope_not_grantable")})
    refuse_more_than(held, asked)
    return " ".join(sorted(asked))


def _locked(tenant_id: UUID, application_id: UUID) -> Application:
    return Application.objects.select_for_update().get(pk=application_id, tenant_id=tenant_id)


def _add_secret(application: Application, *, expires_at: datetime | None) -> tuple[ApplicationSecret, str]:
    text, columns = secrets.generate()
    return ApplicationSecret.objects.create(application=application, expires_at=expires_at, **columns), text


def _end_all(application: Application) -> None:
    sessions.end_sessions_through(application_id=application.pk, reason=EndReason.ENDED_BY_TENANT)


def _described(application: Application) -> dict[str, Any]:
    return {name: getattr(application, name) for name in _DESCRIBED}


def _record(action: str, application: Application, changes: dict[str, list[Any]]) -> None:
    targets = [Target("application", application.pk, application.name)]
    record(action=action, tenant_id=application.tenant_id, targets=targets, changes=changes)


def _note_use(secret: ApplicationSecret) -> None:
    if secrets.is_use_to_be_noted(secret):
        now = timezone.now()
        ApplicationSecret.objects.filter(pk=secret.pk).update(last_used_at=now)
        Application.objects.filter(pk=secret.application_id).update(last_used_at=now)
