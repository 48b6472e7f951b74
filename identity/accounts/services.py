"""Changing accounts: every function is one transaction."""

from uuid import UUID

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from identity.accounts.models import User, normalize_email
from identity.accounts.signals import account_deactivated, password_changed


@transaction.atomic
def create_user(*, email: str, password: str, name: str = "") -> User:
    """Create an account.

    Raises:
        ValidationError: the password breaks a rule; the message says which.
        IntegrityError: the address has an account already.
    """
    user = User(email=normalize_email(email), name=name)
    validate_password(password, user)
    user.set_password(password)
    user.save(force_insert=True)
    return user


@transaction.atomic
def register(*, email: str, password: str, name: str = "") -> None:
    """Create an account for an address that has none; leave an existing account as it is.

    Nothing tells the two apart: same result, and the same work, a password hash, either way (ASVS 6.3.8).

    Raises:
        ValidationError: the password breaks a rule.
    """
    user = User(email=normalize_email(email), name=name)
    validate_password(password, user)
    user.password = make_password(password)
    # ON CONFLICT DO NOTHING: two registrations of one address at once end as one account and no error.
    User.objects.bulk_create([user], ignore_conflicts=True)


def is_password_of(*, user_id: UUID, password: str) -> bool:
    """Tell whether an active account has this password."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return user is not None and check_password(password, user.password)


@transaction.atomic
def change_password(*, user_id: UUID, current: str, new: str, keep_session: UUID | None) -> bool:
    """Give a person another password, and end all their sessions but one.

    The account's row stays locked until the end: who signs in with the old password at the same time finds it changed
    (see ``hold_credentials``).

    Returns:
        whether `current` was the password; if not, nothing has changed.

    Raises:
        ValidationError: the new password breaks a rule.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    if not check_password(current, user.password):
        return False
    validate_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    password_changed.send(sender=User, user_id=user_id, keep_session=keep_session)
    return True


def hold_credentials(user: User) -> bool:
    """Tell whether what was just proved still holds, and keep it so until the transaction ends.

    Between checking a password and starting a session, the password may be changed or the account closed; what ended
    all sessions then must not miss this one.
    """
    unchanged = User.objects.filter(pk=user.pk, password=user.password, is_active=True)
    return unchanged.select_for_update(no_key=True).values_list("pk").first() is not None


@transaction.atomic
def set_active(*, user_id: UUID, is_active: bool) -> User:
    """Close an account, which ends all its sessions, or open it again. Doing it twice changes nothing.

    Raises:
        User.DoesNotExist: there is no such account.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    if user.is_active != is_active:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        if not is_active:
            account_deactivated.send(sender=User, user_id=user_id)
    return user
