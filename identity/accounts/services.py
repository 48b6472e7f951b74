"""Changing accounts: every function is one transaction."""

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from identity.accounts.models import User, normalize_email


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
