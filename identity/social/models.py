"""Who people are at providers that the platform trusts."""

import uuid

from django.db import models

from identity.accounts.models import User
from identity.oidc.models import KEY_LENGTH
from identity.oidc.providers import TEXT_LENGTH
from tenants.wall.openings import THIS_PERSON, closed, opened_to_people


@opened_to_people(
    rows=f"user_id = {THIS_PERSON}", select=["id", "user_id", "provider", "email", "created_at", "last_used_at"]
)
@closed
class LinkedIdentity(models.Model):
    """Who a person is at a provider: a way into their account. It is the provider's own name for them that counts,
    never an address, which changes hands.

    Attributes:
        provider: the key under which the settings had it when it was used last.
        issuer, subject: the provider, and its name for the person.
        email: the address that the provider said last, for the person to recognize; empty if it said none.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="identities")
    provider = models.CharField(max_length=KEY_LENGTH)
    issuer = models.TextField()
    subject = models.CharField(max_length=TEXT_LENGTH)
    email = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="linked_identity_once")]

    def __str__(self) -> str:
        return str(self.id)
