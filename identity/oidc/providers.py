"""What is known of an identity provider, and what it says of people."""

from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from identity.accounts.models import normalize_email

_ADDRESS_LENGTH, _NAME_LENGTH = 254, 120  # of accounts
TEXT_LENGTH = 255  # of a name that a provider gives to something; see OpenID Connect Core section 2
DEFAULT_SCOPE = "openid email profile"
TENANT = "{tenantid}"  # in the issuer of Microsoft's discovery documents for any tenant of theirs


@dataclass(frozen=True)
class Provider:
    """An OpenID Connect provider, as we are known there.

    Attributes:
        issuer: as its discovery document and ID tokens say it; where it holds ``{tenantid}``, an ID token has its own
            ``tid`` in that place.
        client_secret: empty for a client without one.
        scope: what we ask for, space-separated; ``openid`` is among it.
        discovery: below which URL the discovery document is, where that is not the issuer.
        wanted: claims for which the userinfo endpoint is asked where the ID token lacks them.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    scope: str = DEFAULT_SCOPE
    discovery: str = ""
    wanted: tuple[str, ...] = ("email",)


@dataclass(frozen=True)
class Identity:
    """Who somebody is at a provider, as it said when they signed in there.

    Attributes:
        issuer, subject: which together name them, for good.
        email_verified: whether the provider says that the address is theirs.
        claims: all it said, of the ID token and else of userinfo.
        name: as they call themselves: any text.
        sid: its name of the session there.
        amr: how they have signed in there (RFC 8176).
        auth_time: when, in seconds since 1970.
    """

    issuer: str
    subject: str
    email: str | None = None
    email_verified: bool = False
    name: str | None = None
    claims: dict[str, Any] = field(default_factory=dict, repr=False)
    sid: str | None = None
    amr: tuple[str, ...] = ()
    auth_time: int | None = None

    @property
    def address(self) -> str:
        """The address as accounts have theirs; empty if it can be nobody's."""
        address = normalize_email(self.email or "")
        try:
            validate_email(address)
        except ValidationError:
            return ""
        return address if len(address) <= _ADDRESS_LENGTH else ""

    @property
    def account_name(self) -> str:
        """What an account of theirs may be called."""
        return "".join(filter(str.isprintable, self.name or ""))[:_NAME_LENGTH].strip()

    @property
    def has_second_factor(self) -> bool:
        """Whether the provider says that they have proved more than one thing there."""
        return "mfa" in self.amr

    @classmethod
    def of(cls, claims: dict[str, Any]) -> "Identity":
        """Return what claims say; whatever is not of the right kind says nothing."""
        name, amr = claims.get("name"), claims.get("amr")
        auth_time = claims.get("auth_time")
        return cls(
            issuer=claims["iss"],
            subject=claims["sub"],
            email=text_of(claims.get("email")),
            email_verified=claims.get("email_verified") is True,
            name=name if isinstance(name, str) and name else None,
            claims=claims,
            sid=text_of(claims.get("sid")),
            amr=tuple(each for each in amr if isinstance(each, str)) if isinstance(amr, list) else (),
            auth_time=auth_time if isinstance(auth_time, int) and not isinstance(auth_time, bool) else None,
        )


@dataclass(frozen=True)
class LogoutToken:
    """That somebody's session at a provider is over (OpenID Connect Back-Channel Logout 1.0).

    Attributes:
        subject, sid: whose, or which one; one of them is there.
        jti: its own name: one is good once.
        expires_at: in seconds since 1970.
    """

    subject: str | None
    sid: str | None
    jti: str
    expires_at: int


def text_of(value: Any) -> str | None:
    """Return a claim if it is a text that can be kept and shown; else None."""
    is_text = isinstance(value, str) and 0 < len(value) <= TEXT_LENGTH and value.isprintable()
    return value if is_text else None
