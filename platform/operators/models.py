"""Platform staff."""

import uuid

from django.conf import settings
from django.db import models

from permissions.roles import OperatorRole

ROLES = [(role.value, role.value.title()) for role in OperatorRole]


class Operator(models.Model):
    """A person who works for the platform, and as what.

    Attributes:
        version: the ``ver`` claim of operator tokens; see ``identity.members.models.Membership``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator")
    role = models.CharField(max_length=32, choices=ROLES)
    is_active = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.user_id)
