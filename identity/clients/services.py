"""Changing machine clients, and knowing them by their secrets: every function is one transaction.

Whoever changes a client holds the lock on its row. `held` is always what the caller's own token holds: nobody gives a
machine more than they have.
"""

import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from psycopg import sql

from identity.clients import secrets
from identity.clients.errors import ClientLimit, TooManySecrets
from identity.clients.models import Client, ClientSecret
from permissions import policy
from permissions.errors import refuse_more_than
from permissions.principals import Kind
from tenants.audit.services import Target, record
from tenants.context.statements import TENANT, Columns, fetch_all, table
from tenants.registry import services as registry
from tenants.registry.models import Tenant

_SECRET = Columns(ClientSecret, "secret", ("id", "client_id", "last_used_at"))
_CLIENT = Columns(Client, "client", ("id", "tenant_id", "scope", "is_active", "version"))
_LIVE = (
    sql.SQL(
        "SELECT secret.digest, {columns} FROM {secrets} secret JOIN {clients} client ON client.id = secret.client_id"
        " JOIN {tenants} tenant ON tenant.id = client.tenant_id WHERE secret.client_id = %s"
        " AND (secret.expires_at IS NULL OR secret.expires_at > statement_timestamp())"
        " AND (client.expires_at IS NULL OR client.expires_at > statement_timestamp())"
    )
    .format(
        columns=sql.SQL(", ").join([_SECRET.selected, _CLIENT.selected, TENANT.selected]),
        secrets=table(ClientSecret),
        clients=table(Client),
        tenants=table(Tenant),
    )
    .as_string()
)


@transaction.atomic
def create_client(
    *, tenant_id: UUID, name: str, scope: Iterable[str], by: UUID, held: frozenset[str], expires_at: datetime | None
) -> tuple[Client, str]:
    """Create a client with its first secret, and return both; nobody sees the secret again.

    Raises:
        ValidationError: a scope does not exist, or no machine can hold it.
        ScopeNotHeld: the caller does not hold a scope.
        ClientLimit: the tenant has as many clients as it may; exact, however many are created at once.
    """
    limits = registry.hold_tenant(tenant_id=tenant_id)
    if limits.clients is not None and Client.objects.filter(tenant_id=tenant_id).count() >= limits.clients:
        raise ClientLimit
    client = Client.objects.create(
        tenant_id=tenant_id, name=name, scope=_grantable(scope, held), created_by=by, expires_at=expires_at
    )
    _, text = _add_secret(client, expires_at=None)
    _record("client.created", client, {"scopes": [None, client.scopes], "expires_at": [None, expires_at]})
    return client, text


@transaction.atomic
def change_client(*, tenant_id: UUID, client_id: UUID, held: frozenset[str], changes: dict[str, Any]) -> Client:
    """Change a client's name, scopes, expiry, or whether it is active. Its tokens are refused from their next request
    on, unless only its name changes.

    Args:
        changes: any of ``name``, ``scopes``, ``is_active`` and ``expires_at``.

    Raises:
        Client.DoesNotExist: the tenant has no such client.
        ValidationError: a scope does not exist, or no machine can hold it.
        ScopeNotHeld: it would gain a scope, or be switched on with one, that the caller does not hold.
    """
    client = _locked(tenant_id, client_id)
    before = (client.scope, client.is_active, client.expires_at)
    described = _described(client)
    if "scopes" in changes:
        kept = frozenset(client.scopes)
        client.scope = _grantable(changes["scopes"], held | kept)
    for name in changes.keys() - {"scopes"}:
        setattr(client, name, changes[name])
    if client.is_active and (client.is_active, client.expires_at) != before[1:]:
        refuse_more_than(held, client.scopes)
    if (client.scope, client.is_active, client.expires_at) != before:
        client.version += 1
    client.save(update_fields=["name", "scope", "is_active", "expires_at", "version"])
    changed = {key: [described[key], value] for key, value in _described(client).items() if value != described[key]}
    if changed:
        _record("client.changed", client, changed)
    return client


@transaction.atomic
def delete_client(*, tenant_id: UUID, client_id: UUID) -> None:
    """Delete a client with its secrets. Its tokens are refused from their next request on.

    Raises:
        Client.DoesNotExist: the tenant has no such client.
    """
    client = _locked(tenant_id, client_id)
    _record("client.deleted", client, {"scopes": [client.scopes, None]})
    client.delete()


@transaction.atomic
def add_secret(
    *, tenant_id: UUID, client_id: UUID, held: frozenset[str], expires_at: datetime | None
) -> tuple[ClientSecret, str]:
    """Give a client a second secret, so that the first one can be replaced without a gap; nobody sees it again.

    Raises:
        Client.DoesNotExist: the tenant has no such client.
        ScopeNotHeld: the client holds more than the caller, who could go on as the client.
        TooManySecrets: it has two live ones.
    """
    client = _locked(tenant_id, client_id)
    refuse_more_than(held, client.scopes)
    if _live_secrets(client_id).count() >= secrets.LIVE_AT_ONCE:
        raise TooManySecrets
    row, text = _add_secret(client, expires_at=expires_at)
    _record("client.secret_added", client, {"hint": [None, row.hint], "expires_at": [None, expires_at]})
    return row, text


@transaction.atomic
def delete_secret(*, tenant_id: UUID, client_id: UUID, secret_id: UUID) -> None:
    """Delete a secret. All tokens of the client are refused from their next request on, whichever secret they came
    from; a client with another secret gets new ones.

    Raises:
        Client.DoesNotExist, ClientSecret.DoesNotExist: the tenant has no such client, or the client no such secret.
    """
    client = _locked(tenant_id, client_id)
    secret = ClientSecret.objects.get(client=client, pk=secret_id)
    hint = secret.hint
    secret.delete()
    revoke_tokens(client_id=client.pk)
    _record("client.secret_deleted", client, {"hint": [hint, None]})


@transaction.atomic
def revoke_tokens(*, client_id: UUID) -> None:
    """Refuse every token that a client has, from their next request on."""
    Client.objects.filter(pk=client_id).update(version=F("version") + 1)


def authenticate(*, client_id: UUID, secret: str) -> Client | None:
    """Return the client with this secret, with its tenant, if both are good now; None says nothing about why not."""
    digest = secrets.digest_of(secret)
    found = [row for row in fetch_all(_LIVE, client_id) if hmac.compare_digest(row[0], digest)]
    if not found:
        return None
    values = iter(found[0][1:])
    row, client, tenant = _SECRET.take(values), _CLIENT.take(values), TENANT.take(values)
    if row is None or client is None or tenant is None or not client.is_active:
        return None
    client.tenant = tenant
    _note_use(row)
    return client


def prune_secrets(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` secrets that expired `keep` ago, and return how many."""
    return secrets.prune(ClientSecret.objects.all(), keep=keep, limit=limit)


def _grantable(wanted: Iterable[str], held: frozenset[str]) -> str:
    asked = frozenset(wanted)
    unknown = asked - policy.ceiling(Kind.CLIENT)
    if unknown or not asked:
        names = " ".join(sorted(unknown))
        message = f"No machine client can hold: {names}." if unknown else "A client needs at least one scope."
        raise ValidationError({"scopes": ValidationError(message, code="scope_not_grantable")})
    refuse_more_than(held, asked)
    return " ".join(sorted(asked))


def _locked(tenant_id: UUID, client_id: UUID) -> Client:
    return Client.objects.select_for_update().get(pk=client_id, tenant_id=tenant_id)


def _live_secrets(client_id: UUID) -> QuerySet[ClientSecret]:
    own = secrets.live(ClientSecret.objects.filter(client_id=client_id))
    return own.filter(Q(client__expires_at=None) | Q(client__expires_at__gt=timezone.now()))


def _add_secret(client: Client, *, expires_at: datetime | None) -> tuple[ClientSecret, str]:
    text, columns = secrets.generate()
    return ClientSecret.objects.create(client=client, expires_at=expires_at, **columns), text


def _described(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "scopes": client.scopes,
        "is_active": client.is_active,
        "expires_at": client.expires_at,
    }


def _record(action: str, client: Client, changes: dict[str, list[Any]]) -> None:
    targets = [Target("client", client.pk, client.name)]
    record(action=action, tenant_id=client.tenant_id, targets=targets, changes=changes)


def _note_use(secret: ClientSecret) -> None:
    if secrets.is_use_to_be_noted(secret):
        now = timezone.now()
        ClientSecret.objects.filter(pk=secret.pk).update(last_used_at=now)
        Client.objects.filter(pk=secret.client_id).update(last_used_at=now)
