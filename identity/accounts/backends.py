"""Signing in with a password."""

from typing import Any

from django.contrib.auth.backends import ModelBackend

from identity.accounts import selectors
from identity.accounts.models import User


class PasswordBackend(ModelBackend):
    """Django's backend, for accounts that may sign in.

    Whether they may is asked after the password: what is told about an account does not depend on who registered it.
    """

    def user_can_authenticate(self, user: Any) -> bool:
        return isinstance(user, User) and selectors.may_sign_in(user)
