"""Second factors: what people prove themselves with besides a password, and what they have been asked to prove."""

import uuid

from django.db import models

from identity.accounts.models import User
from tenants.wall.openings import THIS_PERSON, closed, opened_to_people

NAME_LENGTH = 120
_OF_PERSON = f"user_id = {THIS_PERSON}"


class Kind(models.TextChoices):
    """What sort of thing a second factor is."""

    TOTP = "totp"  # an app that shows codes (RFC 6238)
    PASSKEY = "passkey"  # WebAuthn


@opened_to_people(
    rows=_OF_PERSON,
    select=["id", "user_id", "kind", "name", "created_at", "last_used_at", "transports", "is_backed_up"],
    update=["name"],
)
@closed
class Factor(models.Model):
    """A second factor that its person has shown to have. One that is only being set up is in a ``Challenge``.

    Attributes:
        secret: of an app, what its codes are computed from, encrypted.
        last_step: the time step of the newest code that was used: no code is good twice (RFC 6238 section 5.2).
        tries, tries_since: how many codes were tried since then; see ``proving.count_try``.
        credential_id, public_key: of a passkey; the key as COSE has it.
        sign_count: what the passkey said that it has signed; one that goes back was copied.
        transports: how the browser reaches it, for it to find it again.
        is_backed_up: whether it is on other devices of its person too, as it said last.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="factors")
    kind = models.CharField(max_length=16, choices=Kind)
    name = models.CharField(max_length=NAME_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    secret = models.BinaryField(null=True)
    last_step = models.BigIntegerField(default=0)
    tries = models.PositiveSmallIntegerField(default=0)
    tries_since = models.DateTimeField(null=True)
    credential_id = models.BinaryField(null=True, max_length=1023)
    public_key = models.BinaryField(null=True)
    sign_count = models.BigIntegerField(default=0)
    transports = models.JSONField(default=list)
    is_backed_up = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["credential_id"], name="factor_credential_once"),
            models.CheckConstraint(
                condition=models.Q(kind=Kind.TOTP, secret__isnull=False, credential_id=None, public_key=None)
                | models.Q(kind=Kind.PASSKEY, secret=None, credential_id__isnull=False, public_key__isnull=False),
                name="factor_of_its_kind",
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)


@opened_to_people(rows=_OF_PERSON, select=["id", "user_id"])
@closed
class RecoveryCode(models.Model):
    """A code that is good once, for whoever has lost their other factors. Its row goes when it is used.

    Attributes:
        digest: SHA-256. The code holds 125 random bits, which no fast hash gives away.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return str(self.id)


class Purpose(models.TextChoices):
    """What a challenge is for. One for one is no good for another."""

    SIGN_IN = "sign_in"  # a second factor, after something else was proved
    PASSKEY = "passkey"  # a passkey, whosever: to sign in, or to prove again who one is
    NEW_TOTP = "new_totp"  # the first code of an app that is being set up
    NEW_PASSKEY = "new_passkey"


@closed
class Challenge(models.Model):
    """What somebody has been asked to prove. It is good once, for a few minutes, and for a few tries.

    Attributes:
        digest: SHA-256 of the 32 random bytes that whoever answers has, and that a passkey signs.
        api: whose sign-in it is, as ``identity.sessions.models.Api`` names it.
        user: who is to prove it; null where anybody may.
        data: of a sign-in, what was proved already and what was asked for.
        secret: encrypted, of an app that is being set up.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    digest = models.BinaryField(max_length=32)
    purpose = models.CharField(max_length=16, choices=Purpose)
    api = models.CharField(max_length=16)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="challenges")
    data = models.JSONField(default=dict)
    secret = models.BinaryField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="challenge_digest_once")]
        indexes = [models.Index(fields=["expires_at"])]  # for pruning

    def __str__(self) -> str:
        return str(self.id)
