"""Passkeys (WebAuthn), by ``fido2``: what a browser is asked, and whether its answer is good.

Every passkey here is found by the browser itself, without an account being named, and has its person unlock it (by a
PIN, a finger, a face): alone it is two factors, what they have and what they know or are. Nobody asks who made it.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from django.conf import settings
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.rpid import verify_rp_id
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from tenants.registry.names import normalize_host
from tenants.routing import directory

# WebAuthn section 5.8.2 wants the first and the last of any server; all authenticators have one of them.
_ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256
_TRANSPORTS = frozenset({"usb", "nfc", "ble", "smart-card", "hybrid", "internal"})
_LONGEST_ID = 1023  # bytes; WebAuthn section 4, "Credential ID"
_MILLISECONDS = 300_000
_VERIFIED = UserVerificationRequirement.REQUIRED

# What reading made-up answers ends in; all of it is input.
_MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    RecursionError,
    OverflowError,
    struct.error,
    UnsupportedAlgorithm,
)

Credential = Mapping[str, Any]  # a browser's PublicKeyCredential, as its toJSON() has it


class Refused(ValueError):
    """It is no answer to what was asked."""


@dataclass(frozen=True)
class Registered:
    """A new passkey, as it is kept."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    transports: list[str]
    is_backed_up: bool


@dataclass(frozen=True)
class Signed:
    """What a passkey says along with its signature."""

    sign_count: int
    is_backed_up: bool


def registration_options(challenge: bytes, *, user_id: UUID, email: str, present: Sequence[bytes]) -> dict[str, Any]:
    """Return what ``navigator.credentials.create`` is asked for, as ``parseCreationOptionsFromJSON`` reads it.

    Args:
        present: ids of the passkeys that the person has: an authenticator makes no second one.
    """
    options, _ = _server().register_begin(
        PublicKeyCredentialUserEntity(id=user_id.bytes, name=email, display_name=email),
        _described(present),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_VERIFIED,
        challenge=challenge,
    )
    return _in_json(options.public_key)


def request_options(challenge: bytes, *, allowed: Sequence[bytes] = ()) -> dict[str, Any]:
    """Return what ``navigator.credentials.get`` is asked for, as ``parseRequestOptionsFromJSON`` reads it.

    Args:
        allowed: ids of the passkeys that will do; any, if none is named.
    """
    options, _ = _server().authenticate_begin(_described(allowed) or None, _VERIFIED, challenge)
    return _in_json(options.public_key)


def register(challenge: bytes, credential: Credential) -> Registered:
    """Return the passkey that was made for a challenge.

    Raises:
        Refused: it was made for something else, or is nothing that we take.
    """
    try:
        answer = RegistrationResponse.from_dict(_picked(credential, "clientDataJSON", "attestationObject"))
        _refuse_framed(answer.response.client_data)
        data = _server().register_complete(_state(challenge), answer)
        made = data.credential_data
        if made is None or made.public_key[3] not in _ALGORITHMS or not 0 < len(made.credential_id) <= _LONGEST_ID:
            raise Refused("This passkey is of a kind that is not taken.")
        named = credential["response"].get("transports") or []
        return Registered(
            credential_id=bytes(made.credential_id),
            public_key=cbor.encode(made.public_key),
            sign_count=data.counter,
            transports=sorted({name for name in named if isinstance(name, str)} & _TRANSPORTS),
            is_backed_up=data.is_backed_up(),
        )
    except _MALFORMED as error:
        raise Refused(str(error)) from error


def verify(challenge: bytes, credential: Credential, *, user_id: UUID, public_key: bytes) -> Signed:
    """Return what the passkey of a person says that has signed a challenge.

    Raises:
        Refused: it has not, or is not that person's.
    """
    try:
        picked = _picked(credential, "clientDataJSON", "authenticatorData", "signature", "userHandle")
        answer = AuthenticationResponse.from_dict(picked)
        _refuse_framed(answer.response.client_data)
        key = CoseKey.parse(cast("Mapping[int, Any]", cbor.decode(public_key)))
        known = AttestedCredentialData.create(Aaguid.NONE, answer.raw_id, key)
        _server().authenticate_complete(_state(challenge), [known], answer)
        if answer.response.user_handle not in (None, user_id.bytes):
            raise Refused("This passkey is somebody else's.")
        data = answer.response.authenticator_data
        return Signed(data.counter, data.is_backed_up())
    except _MALFORMED as error:
        raise Refused(str(error)) from error


def id_of(credential: Credential) -> bytes | None:
    """Return the id that a credential claims; None when it claims none."""
    try:
        return websafe_decode(credential["rawId"])[: _LONGEST_ID + 1]
    except _MALFORMED:
        return None


def challenge_of(credential: Credential) -> bytes | None:
    """Return the challenge that a credential, new or not, claims to answer; None when it claims none."""
    try:
        return bytes(CollectedClientData(websafe_decode(credential["response"]["clientDataJSON"])).challenge)
    except _MALFORMED:
        return None


def is_ours(origin: str) -> bool:
    """Tell whether a page of this origin may ask for passkeys: one of ours, or of a tenant's, under the RP id.

    A tenant's own domain is under another one; there, the browser itself has no passkeys of ours.
    """
    if origin in settings.WEBAUTHN_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        if origin != f"{parts.scheme}://{parts.netloc}" or "@" in origin or not verify_rp_id(rp_id(), origin):
            return False
        named = {_origin_of(settings.FRONTEND_URL), _origin_of(settings.ISSUER), *settings.CORS_ALLOWED_ORIGINS}
        return origin in named or (_is_plain(parts) and _is_our_host(parts.hostname or ""))
    except ValueError:
        return False


def rp_id() -> str:
    """Return the name under which passkeys are kept; changing it makes all of them useless."""
    return str(settings.WEBAUTHN_RP_ID or settings.BASE_DOMAIN)


def _server() -> Fido2Server:
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=rp_id(), name=settings.PRODUCT_NAME),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=is_ours,
    )
    server.timeout = _MILLISECONDS  # type: ignore[assignment]  # fido2 has it as None first, which is what mypy sees
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=alg) for alg in _ALGORITHMS
    ]
    return server


def _state(challenge: bytes) -> dict[str, Any]:
    return {"challenge": websafe_encode(challenge), "user_verification": _VERIFIED}


def _picked(credential: Credential, *names: str) -> dict[str, Any]:
    """Return what is looked at of a credential: browsers say more, and ever more."""
    if credential["id"] != credential["rawId"] or credential["type"] != "public-key":
        raise Refused("This is no passkey.")
    given = credential["response"]
    response = {name: given[name] for name in names if given.get(name) is not None}
    if not all(isinstance(value, str) for value in (credential["rawId"], *response.values())):
        raise Refused("These are texts.")
    return {"rawId": credential["rawId"], "type": "public-key", "response": response}


def _refuse_framed(client_data: Any) -> None:
    """Refuse what was signed inside another site's page."""
    if client_data.cross_origin is not False:
        raise Refused("This was signed inside a page of another site.")


def _described(ids: Sequence[bytes]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=each) for each in ids]


def _in_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return fido2's options as plain JSON: their members are mappings and enumerations of its own."""
    return {str(name): _plain(value) for name, value in options.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _in_json(value)
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, bool | int) or value is None else str(value)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_plain(parts: SplitResult) -> bool:
    """Tell whether it is https on its own port; while developing, on localhost, any port."""
    return parts.port is None or (settings.IN_DEVELOPMENT and parts.scheme == "http")


def _is_our_host(host: str) -> bool:
    name = normalize_host(host)
    return name in settings.API_HOSTS or name == settings.OPERATOR_HOST or directory.find(name) is not None
