"""Reading accounts."""

from uuid import UUID

from identity.accounts.models import User, normalize_email


def user_by_id(user_id: UUID) -> User:
    """Return one account, without its password's hash, which a person themselves has no use for.

    Raises:
        User.DoesNotExist: there is none.
    """
    return User.objects.only("email", "name", "is_active").get(pk=user_id)


def user_by_email(email: str) -> User | None:
    """Return the account of an address."""
    return User.objects.filter(email=normalize_email(email)).first()
