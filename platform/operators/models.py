"""Platform staff."""

import uuid

from django.conf import settings
from django.db import models

from identity.sessions.models import Session
from permissions.roles import OperatorRole
from permissions.versions import first_version
from tenants.registry.models import Tenant
from tenants.wall.openings import closed

ROLES = [(role.value, role.value.title()) for role in OperatorRole]


@closed
class Operator(models.Model):
    """A person who works for the platform, and as what.

    Attributes:
        version: the ``ver`` claim of operator tokens; see ``identity.members.models.Membership``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator")
    role = models.CharField(max_length=32, choices=ROLES)
    is_active = models.BooleanField(default=True)
    version = models.BigIntegerField(default=first_version)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.user_id)


@closed
class SupportAccess(models.Model):
    """That a member of staff looks into a tenant: why, and under which session, which is where it ends."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="support_accesses")
    operator = models.ForeignKey(Operator, on_delete=models.CASCADE, related_name="support_accesses")
    session = models.OneToOneField(Session, on_delete=models.CASCADE, related_name="support_access")
    reason = models.CharField(max_length=500)
    ticket = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return str(self.id)
