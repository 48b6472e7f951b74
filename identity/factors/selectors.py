"""Reading second factors."""

from uuid import UUID

from django.db.models import QuerySet

from identity.factors.models import Factor, Kind, RecoveryCode
from identity.factors.proving import Method

_SHOWN = ["id", "user_id", "kind", "name", "created_at", "last_used_at", "transports", "is_backed_up"]


def factors_of(user_id: UUID) -> QuerySet[Factor]:
    """Return a person's second factors, oldest first, without what proves them."""
    return Factor.objects.filter(user_id=user_id).only(*_SHOWN).order_by("created_at", "id")


def recovery_codes_left(user_id: UUID) -> int:
    """Return how many recovery codes a person has."""
    return RecoveryCode.objects.filter(user_id=user_id).count()


def passkey_ids(user_id: UUID) -> list[bytes]:
    """Return the credential ids of a person's passkeys."""
    rows = Factor.objects.filter(user_id=user_id, kind=Kind.PASSKEY).order_by("created_at")
    return [bytes(each) for each in rows.values_list("credential_id", flat=True) if each is not None]


def owner_of(credential_id: bytes | None) -> UUID | None:
    """Return whose passkey has a credential id."""
    if credential_id is None:
        return None
    rows = Factor.objects.filter(credential_id=credential_id, kind=Kind.PASSKEY)
    return rows.values_list("user_id", flat=True).first()


def methods_of(user_id: UUID) -> list[Method]:
    """Return by what a person can prove themselves besides a password."""
    kinds = set(Factor.objects.filter(user_id=user_id).values_list("kind", flat=True))
    found = [Method(kind) for kind in Kind if kind in kinds]
    return [*found, Method.RECOVERY_CODE] if recovery_codes_left(user_id) else found
