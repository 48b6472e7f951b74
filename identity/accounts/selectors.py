"""Reading accounts."""

from uuid import UUID

from django.conf import settings
from django.db.models import Q

from identity.accounts.models import PROFILE, User, normalize_email


def user_by_id(user_id: UUID) -> User:
    """Return one account, without its password's hash, which a person themselves has no use for.

    Raises:
        User.DoesNotExist: there is none.
    """
    return User.objects.only("email", "is_active", "email_verified_at", *PROFILE).get(pk=user_id)


def user_or_none(user_id: UUID) -> User | None:
    """Return one account, if it is there."""
    return User.objects.filter(pk=user_id).first()


def user_by_email(email: str) -> User | None:
    """Return the account of an address."""
    return User.objects.filter(email=normalize_email(email)).first()


def can_sign_in() -> Q:
    """Return the condition on accounts that may begin a session: open, and with a proved address where the platform
    asks for one.
    """
    is_open = Q(is_active=True)
    return is_open & Q(email_verified_at__isnull=False) if settings.EMAIL_VERIFICATION == "required" else is_open


def may_sign_in(user: User) -> bool:
    """Tell whether an account, as it was read, may begin a session."""
    is_proved = user.email_verified_at is not None or settings.EMAIL_VERIFICATION != "required"
    return user.is_active and is_proved
