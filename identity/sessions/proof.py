"""How a person has proved who they are: what every way in hands over, and what a tenant's sign-in policy asks about."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import models

# RFC 8176 section 2; `fed` and `recovery` are ours, for what that registry has no name for.
PASSWORD = "pwd"  # noqa: S105 -- the method's name
ONE_TIME_CODE = "otp"
PASSKEY = "hwk"
RECOVERY_CODE = "recovery"
FEDERATED = "fed"
MULTI_FACTOR = "mfa"  # two of different kinds
FACTORS = {"totp": ONE_TIME_CODE, "passkey": PASSKEY, "recovery_code": RECOVERY_CODE}  # of ``identity.factors``


def merged(*methods: str) -> list[str]:
    """Return methods as a session has them: each once, in the order they came in, and last what they amount to."""
    found = [method for method in dict.fromkeys(methods) if method != MULTI_FACTOR]
    return [*found, MULTI_FACTOR] if MULTI_FACTOR in methods else found


class Way(models.TextChoices):
    """By which door a person came in."""

    PASSWORD = "password"  # noqa: S105 -- the way's name
    PASSKEY = "passkey"
    SOCIAL = "social"  # a provider that the platform trusts
    SSO = "sso"  # a tenant's own provider


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a person has just proved.

    Attributes:
        methods: RFC 8176 names, for ``amr``.
        connection_id: of ``Way.SSO``, the tenant's connection that vouches for them.
        only_tenant_id: the one tenant that a session with this proof may ever be in: who speaks for one tenant opens no
            other one, and does not change the person's account.
        application_id: the third-party app that acts for the person; None for ours.
        provider_session: what the provider of `connection_id` calls its own session (``sid``), if it says so: it may
            end ours by that name.
        proved_at: when they did, if that was some time ago.
    """

    way: Way = Way.PASSWORD
    methods: tuple[str, ...] = (PASSWORD,)
    connection_id: UUID | None = None
    only_tenant_id: UUID | None = None
    application_id: UUID | None = None
    provider_session: str = ""
    proved_at: datetime | None = None

    @property
    def has_second_factor(self) -> bool:
        """Whether it is more than one kind of proof."""
        return MULTI_FACTOR in self.methods


BY_PASSWORD = Proof()
