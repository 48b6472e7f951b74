"""What providers publish of themselves: where they are asked (OpenID Connect Discovery 1.0) and their keys (RFC 7517).
Each process keeps it for a while.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from identity.oidc import http
from identity.oidc.errors import ProviderUnreachable
from identity.oidc.providers import Provider

PublicKey = RSAKey | ECKey | OKPKey

_METADATA_SECONDS, _KEYS_SECONDS = 3600.0, 600.0
_LOOK_AGAIN_SECONDS = 60.0  # for a key that is not among those kept
_KEPT = 256  # providers
_MOST_KEYS = 100
_SHORTEST_RSA = 341  # characters of a modulus of 2048 bits in base64url
_KINDS = ("RSA", "EC", "OKP")  # a shared secret is no public key

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Metadata:
    """What we need of a discovery document.

    Attributes:
        auth_methods: how clients prove who they are at the token endpoint.
        says_issuer: whether it names itself in its answer to the browser (RFC 9207).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    auth_methods: tuple[str, ...]
    says_issuer: bool


class _Store(Generic[Kept]):
    """What was fetched, by URL; the oldest goes when there is too much. Two who miss the same at once both fetch it."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._lock = seconds, threading.Lock()
        self._found: OrderedDict[str, tuple[float, Kept]] = OrderedDict()

    def get(self, url: str, fetch: Callable[[], Kept]) -> Kept:
        with self._lock:
            entry = self._found.get(url)
        if entry is not None and time.monotonic() - entry[0] < self._seconds:
            return entry[1]
        return self.put(url, fetch())

    def put(self, url: str, value: Kept) -> Kept:
        with self._lock:
            self._found[url] = (time.monotonic(), value)
            self._found.move_to_end(url)
            while len(self._found) > _KEPT:
                self._found.popitem(last=False)
        return value

    def clear(self) -> None:
        with self._lock:
            self._found.clear()


_metadata = _Store[Metadata](_METADATA_SECONDS)
_keys = _Store[list[PublicKey]](_KEYS_SECONDS)
_looked_again = _Store[None](_LOOK_AGAIN_SECONDS)


def metadata_of(provider: Provider) -> Metadata:
    """Return what a provider says of itself.

    Raises:
        ProviderUnreachable: it does not answer, or says that it is another one.
    """
    base = (provider.discovery or provider.issuer).rstrip("/")
    found = _metadata.get(
        f"{base}/.well-known/openid-configuration",
        lambda: _read_metadata(http.fetch(f"{base}/.well-known/openid-configuration")),
    )
    if found.issuer != provider.issuer:
        raise ProviderUnreachable
    return found


def keys_of(metadata: Metadata, *, with_kid: str | None = None) -> list[PublicKey]:
    """Return the keys that a provider signs with. If none is called `with_kid`, they are fetched again, but not more
    often than once a minute: anybody may make up names.

    Raises:
        ProviderUnreachable: it does not answer.
    """
    url = metadata.jwks_uri
    found = _keys.get(url, lambda: _read_keys(http.fetch(url)))
    if with_kid is None or any(key.kid == with_kid for key in found):
        return found
    fetched: list[list[PublicKey]] = []

    def look_again() -> None:
        _looked_again.put(url, None)  # although it may not answer
        fetched.append(_keys.put(url, _read_keys(http.fetch(url))))

    _looked_again.get(url, look_again)
    return fetched[0] if fetched else found


def forget() -> None:
    """Drop what this process keeps of providers."""
    for store in (_metadata, _keys, _looked_again):
        store.clear()


def _read_metadata(fetched: http.Fetched) -> Metadata:
    if fetched.status != 200:
        raise ProviderUnreachable
    said = fetched.json_object()
    methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    issuer = said.get("issuer")
    if not isinstance(issuer, str) or not isinstance(methods, list):
        raise ProviderUnreachable
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_url(said.get("authorization_endpoint")),
        token_endpoint=_url(said.get("token_endpoint")),
        jwks_uri=_url(said.get("jwks_uri")),
        userinfo_endpoint=_url(said["userinfo_endpoint"]) if said.get("userinfo_endpoint") else None,
        auth_methods=tuple(each for each in methods if isinstance(each, str)),
        says_issuer=said.get("authorization_response_iss_parameter_supported") is True,
    )


def _url(value: Any) -> str:
    if not isinstance(value, str) or http.split(value) is None:
        raise ProviderUnreachable
    return value


def _read_keys(fetched: http.Fetched) -> list[PublicKey]:
    said = fetched.json_object().get("keys") if fetched.status == 200 else None
    if not isinstance(said, list):
        raise ProviderUnreachable
    return [key for each in said[:_MOST_KEYS] if (key := _read_key(each)) is not None]


def _read_key(said: Any) -> PublicKey | None:
    """Return a key to verify with. One that means nothing to us is none (RFC 7517 section 5), and so is a weak one."""
    if not isinstance(said, dict) or said.get("kty") not in _KINDS or said.get("use", "sig") != "sig":
        return None
    if said["kty"] == "RSA" and len(str(said.get("n", ""))) < _SHORTEST_RSA:
        return None
    try:
        key = JWKRegistry.import_key({name: value for name, value in said.items() if name not in {"d", "key_ops"}})
    except (JoseError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAKey | ECKey | OKPKey) else None
