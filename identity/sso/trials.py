"""Trying a connection before anybody signs in by it: what the provider publishes, and what a sign-in would lead to."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from rest_framework.exceptions import APIException

from identity.members.errors import SeatLimit
from identity.oidc import http
from identity.oidc.attempts import Outcome
from identity.oidc.errors import InvalidCode, ProviderUnreachable
from identity.oidc.id_tokens import ALGORITHMS
from identity.oidc.providers import Provider
from identity.sso import admission, services
from identity.sso.admission import Foreseen, Told
from identity.sso.errors import IdentityMismatch, NotAdmitted, OwnersNotAdmitted
from identity.sso.models import Connection

# What is wrong with the person who tries, and not with the connection.
_OF_THE_PERSON = (IdentityMismatch, NotAdmitted, OwnersNotAdmitted, SeatLimit)
_SECRETS = {"client_secret_basic", "client_secret_post"}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Trial:
    """What came of a trial.

    Attributes:
        claims: all that the provider said.
        is_passed: whether the connection may be enabled.
    """

    told: Told
    claims: dict[str, Any]
    foreseen: Foreseen
    is_passed: bool

    @property
    def refusal(self) -> APIException | None:
        return self.foreseen.refusal


def look_at(provider: Provider) -> list[Check]:
    """Return what is right and wrong with what a provider publishes, as it is now."""
    url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    said = _fetched(url)
    if said is None:
        return [Check("discovery", ok=False, detail=f"There is no discovery document at {url}.")]
    endpoints = [name for name in ("authorization_endpoint", "token_endpoint", "jwks_uri") if not _is_url(said, name)]
    algorithms = set(_listed(said, "id_token_signing_alg_values_supported")) & ALGORITHMS.keys()
    challenges = _listed(said, "code_challenge_methods_supported")
    methods = _listed(said, "token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return [
        Check("discovery", ok=True, detail="The discovery document was read."),
        Check("issuer", ok=said.get("issuer") == provider.issuer, detail="The document names the issuer as you do."),
        Check("endpoints", ok=not endpoints, detail=f"Missing: {', '.join(endpoints) or 'none'}."),
        Check("code_flow", ok="code" in _listed(said, "response_types_supported"), detail="It gives out codes."),
        Check(
            "pkce",
            ok=not challenges or "S256" in challenges,
            detail="It takes S256." if "S256" in challenges else "It does not say that it takes S256 (RFC 7636).",
        ),
        Check("algorithms", ok=bool(algorithms), detail=f"Both know: {', '.join(sorted(algorithms)) or 'none'}."),
        Check("client_secret", ok=not _SECRETS.isdisjoint(methods), detail="Clients prove who they are by a secret."),
        _check_keys(said),
    ]


def complete(*, connection: Connection, by: UUID, outcome: Outcome) -> Trial:
    """Return what somebody's trial of a connection has shown. If it went well, the connection may be enabled.

    Raises:
        InvalidCode: it is another connection's, or somebody else's.
    """
    if outcome.provider_key != str(connection.pk) or outcome.user_id != by:
        raise InvalidCode
    told = Told(**outcome.content["told"])
    foreseen = admission.foresee(connection_id=connection.pk, told=told)
    is_passed = foreseen.refusal is None or isinstance(foreseen.refusal, _OF_THE_PERSON)
    if is_passed:
        services.note_trial(connection_id=connection.pk, as_of=datetime.fromisoformat(outcome.extra["as_of"]))
    return Trial(told, outcome.content["claims"], foreseen, is_passed)


def _check_keys(said: dict[str, Any]) -> Check:
    found = _fetched(said["jwks_uri"]) if _is_url(said, "jwks_uri") else None
    keys = found.get("keys") if found else None
    usable = [key for key in keys if isinstance(key, dict) and key.get("kty") in ALGORITHMS.values()] if keys else []
    return Check("keys", ok=bool(usable), detail=f"{len(usable)} keys to verify with.")


def _fetched(url: str) -> dict[str, Any] | None:
    try:
        answer = http.fetch(url)
        return answer.json_object() if answer.status == 200 else None
    except ProviderUnreachable:
        return None


def _is_url(said: dict[str, Any], name: str) -> bool:
    return isinstance(said.get(name), str) and http.split(said[name]) is not None


def _listed(said: dict[str, Any], name: str) -> list[str]:
    found = said.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
