"""Sign-ins by identity providers that are under way."""

import uuid

from django.db import models

from identity.keys import encryption
from tenants.wall.openings import closed

_PURPOSE = b"tenantry sign-ins by identity providers"
KEY_LENGTH = 64
CHALLENGE_LENGTH = 43  # of SHA-256 in base64url


@closed
class Attempt(models.Model):
    """A sign-in by a provider: from where somebody begins it until whoever began it takes what came of it. First it
    waits for the browser to come back with its state, once; then for its one-time code, once. Nothing else refers to
    it, and it is over in minutes.

    Attributes:
        state_digest, code_digest: SHA-256 of 32 random bytes, which whoever answers has.
        kind: what it is for, and so who takes what comes of it.
        provider_key: which provider, as those who began it name theirs.
        tenant_id: the tenant that it is for, if it is for one.
        user_id: the person who began it, where it is about their account.
        return_to: where the browser is sent in the end.
        code_challenge: of whoever began it (RFC 7636, S256): the code is good in their hands alone.
        nonce: what the ID token has to repeat.
        sealed_verifier: ours, encrypted, for the provider's code.
        sealed_outcome: what came of it, encrypted; null until then.
        extra: what whoever began it wants to find again.
        answered_at: when the browser came back.
        state: only in the hands of whoever has just begun it.
    """

    state = ""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    state_digest = models.BinaryField(max_length=32)
    code_digest = models.BinaryField(max_length=32, null=True)
    kind = models.CharField(max_length=16)
    provider_key = models.CharField(max_length=KEY_LENGTH)
    tenant_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    return_to = models.TextField()
    code_challenge = models.CharField(max_length=CHALLENGE_LENGTH)
    nonce = models.CharField(max_length=CHALLENGE_LENGTH)
    sealed_verifier = models.BinaryField()
    sealed_outcome = models.BinaryField(null=True)
    extra = models.JSONField(default=dict)
    answered_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["state_digest"], name="attempt_state_once"),
            models.UniqueConstraint(fields=["code_digest"], name="attempt_code_once"),
        ]
        indexes = [models.Index(fields=["expires_at"])]  # for pruning

    def __str__(self) -> str:
        return str(self.id)

    @property
    def verifier(self) -> str:
        """Our own PKCE verifier.

        Raises:
            Undecryptable: SECRET_KEY has changed meanwhile.
        """
        return unseal(self.sealed_verifier)


def seal(text: str) -> bytes:
    """Return what an attempt keeps, encrypted."""
    return encryption.encrypt(text.encode(), purpose=_PURPOSE)


def unseal(sealed: bytes | memoryview) -> str:
    """Return what ``seal`` has encrypted.

    Raises:
        Undecryptable: SECRET_KEY has changed meanwhile.
    """
    return encryption.decrypt(sealed, purpose=_PURPOSE).decode()
