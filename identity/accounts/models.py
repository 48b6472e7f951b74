"""People."""

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower

from tenants.wall.openings import THIS_PERSON, closed, opened_to_people


def normalize_email(email: str) -> str:
    """Return an address as it is stored and looked up: one account per address, whatever its capitals."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email=normalize_email(username or ""))


@opened_to_people(rows=f"id = {THIS_PERSON}", select=["id", "email", "name", "is_active"])
@closed  # but for what identity.members opens of its members
class User(AbstractBaseUser):
    """A person, known to the whole platform by one address; what they may do is in their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="accounts_user_email_lower"),
        ]

    def __str__(self) -> str:
        return str(self.id)  # an address does not belong into logs
