"""Reading who people are at providers."""

from uuid import UUID

from django.db.models import QuerySet

from identity.social.models import LinkedIdentity

_SHOWN = ["id", "user_id", "provider", "email", "created_at", "last_used_at"]


def identities_of(user_id: UUID | None) -> QuerySet[LinkedIdentity]:
    """Return the identities that open a person's account, oldest first; nobody's are none."""
    if user_id is None:
        return LinkedIdentity.objects.none()
    return LinkedIdentity.objects.filter(user_id=user_id).only(*_SHOWN).order_by("created_at", "id")


def identity_at(*, issuer: str, subject: str) -> LinkedIdentity | None:
    """Return a provider's name for somebody, with whose account it opens, if it opens one."""
    return LinkedIdentity.objects.filter(issuer=issuer, subject=subject).select_related("user").first()
