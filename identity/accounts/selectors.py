"""Reading accounts."""

from uuid import UUID

from django.conf import settings

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


def may_sign_in(user: User) -> bool:
    """Tell whether an account, as it was read, may begin a session: it is open, and its address is proved where the
    platform asks for that.
    """
    is_proved = user.email_verified_at is not None or settings.EMAIL_VERIFICATION != "required"
    return user.is_active and is_proved
