"""By which providers people sign in, as ``settings.SOCIAL_PROVIDERS`` says, and whose word on addresses counts."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from identity.oidc import client, http
from identity.oidc.client import Answer
from identity.oidc.models import KEY_LENGTH, Attempt
from identity.oidc.providers import DEFAULT_SCOPE, TENANT, Identity, Provider
from identity.social.errors import UnknownProvider
from identity.social.github import GitHub

_KEY = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,{KEY_LENGTH - 2}}}[a-z0-9])?", re.ASCII)
_MICROSOFT = "https://login.microsoftonline.com"
_ANY_TENANT = frozenset({"common", "organizations", "consumers"})  # of Microsoft's
_GMAIL = ("@gmail.com", "@googlemail.com")
_COMMON = {"client_id", "client_secret", "name", "scope"}


class Signing(Protocol):
    """How one signs in by a provider: by OpenID Connect, or in its own way."""

    def authorization_url(self, attempt: Attempt) -> str:
        """Return where the browser goes."""

    def identify(self, attempt: Attempt, answer: Answer) -> Identity:
        """Return who came back; raises as ``client.identify``."""


@dataclass(frozen=True)
class SocialProvider:
    """A provider that the platform trusts to say who somebody is.

    Attributes:
        key: its name in URLs and in the settings.
        name: for people.
        vouches: whether it says that somebody's address is theirs, now.
    """

    key: str
    name: str
    signing: Signing
    vouches: Callable[[Identity], bool]


@dataclass(frozen=True)
class OpenIdConnect:
    """Signing in by OpenID Connect."""

    provider: Provider

    def authorization_url(self, attempt: Attempt) -> str:
        return client.authorization_url(self.provider, attempt)

    def identify(self, attempt: Attempt, answer: Answer) -> Identity:
        return client.identify(self.provider, attempt, answer)


def redirect_uri() -> str:
    """Return where providers send people back to: to be entered there."""
    return f"{settings.ISSUER}/auth/social/callback"


def providers() -> dict[str, SocialProvider]:
    """Return all providers, by key, in the settings' order.

    Raises:
        ImproperlyConfigured: the settings say something that means nothing; the message has no secret.
    """
    said = settings.SOCIAL_PROVIDERS
    if not isinstance(said, Mapping):
        raise ImproperlyConfigured('SOCIAL_PROVIDERS is no object: write {"google": {"client_id": …, …}}.')
    return {key: _provider(key, values) for key, values in said.items()}


def provider_by_key(key: str) -> SocialProvider:
    """Return one provider.

    Raises:
        UnknownProvider: there is none of this name.
    """
    try:
        return providers()[key]
    except KeyError:
        raise UnknownProvider from None


def _provider(key: str, values: Any) -> SocialProvider:
    if not _KEY.fullmatch(key):
        raise _wrong(key, "the name of a provider has small letters, digits and hyphens")
    if not isinstance(values, Mapping) or not all(isinstance(value, str) for value in values.values()):
        raise _wrong(key, "it is an object of texts")
    make, more = _PRESETS.get(key, (_openid_connect, {"issuer"}))
    allowed = _COMMON | more
    unknown = values.keys() - allowed
    if unknown:
        raise _wrong(key, f"it has {min(unknown)!r}; there are {', '.join(sorted(allowed))}")
    for name in ("client_id", "client_secret"):
        if not values.get(name):
            raise _wrong(key, f"it has no {name!r}")
    return make(key, values)


def _openid_connect(key: str, values: Mapping[str, str]) -> SocialProvider:
    issuer = values.get("issuer", "")
    if "?" in issuer or http.split(issuer) is None:
        raise _wrong(key, "its 'issuer' is no https URL without a query; see its discovery document")
    return SocialProvider(key, values.get("name") or key.capitalize(), _signing(key, values, issuer), _says_verified)


def _google(key: str, values: Mapping[str, str]) -> SocialProvider:
    signing = _signing(key, values, "https://accounts.google.com")
    return SocialProvider(key, values.get("name") or "Google", signing, _google_vouches)


def _microsoft(key: str, values: Mapping[str, str]) -> SocialProvider:
    tenant = values.get("tenant") or "common"
    if not re.fullmatch(r"[A-Za-z0-9.-]{1,100}", tenant):
        raise _wrong(key, "its 'tenant' is 'common', 'organizations', 'consumers' or the id of one tenant")
    of_any = tenant in _ANY_TENANT
    issuer = f"{_MICROSOFT}/{TENANT if of_any else tenant}/v2.0"
    signing = _signing(key, values, issuer, discovery=f"{_MICROSOFT}/{tenant}/v2.0")
    return SocialProvider(key, values.get("name") or "Microsoft", signing, _microsoft_vouches)


def _github(key: str, values: Mapping[str, str]) -> SocialProvider:
    urls = {name: values[name].rstrip("/") for name in ("url", "api_url") if values.get(name)}
    for name, url in urls.items():
        if "?" in url or http.split(url) is None:
            raise _wrong(key, f"its {name!r} is no https URL")
    signing = GitHub(
        values["client_id"],
        values["client_secret"],
        redirect_uri(),
        scope=values.get("scope") or GitHub.DEFAULT_SCOPE,
        **urls,
    )
    return SocialProvider(key, values.get("name") or "GitHub", signing, _says_verified)


def _signing(key: str, values: Mapping[str, str], issuer: str, *, discovery: str = "") -> OpenIdConnect:
    scope = values.get("scope") or DEFAULT_SCOPE
    if "openid" not in scope.split(" "):
        raise _wrong(key, "its 'scope' lacks 'openid'")
    return OpenIdConnect(
        Provider(issuer, values["client_id"], values["client_secret"], redirect_uri(), scope, discovery)
    )


def _says_verified(identity: Identity) -> bool:
    return identity.email_verified


def _google_vouches(identity: Identity) -> bool:
    """Google speaks for its own addresses and those of its customers' domains. Of any other address it only knows that
    it was somebody's once, who may have left there since.
    """
    address = (identity.email or "").lower()
    return identity.email_verified and (address.endswith(_GMAIL) or bool(identity.claims.get("hd")))


def _microsoft_vouches(identity: Identity) -> bool:
    """Whoever runs a tenant of Microsoft's writes any address into it; this claim says that the domain is theirs."""
    return identity.claims.get("xms_edov") in (True, 1, "1", "true", "True")


_PRESETS: dict[str, tuple[Callable[[str, Mapping[str, str]], SocialProvider], set[str]]] = {
    "google": (_google, set()),
    "microsoft": (_microsoft, {"tenant"}),
    "github": (_github, {"url", "api_url"}),
}


def _wrong(key: str, why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"SOCIAL_PROVIDERS, {key!r}: {why}.")
