"""A passkey in software, for tests: what a browser and its authenticator do together (WebAuthn)."""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

ORIGIN = "http://localhost:8000"
_PRESENT_AND_VERIFIED = AuthenticatorData.FLAG.UP | AuthenticatorData.FLAG.UV


@dataclass
class Passkey:
    """One passkey, and how it behaves: a test may have it misbehave.

    Attributes:
        count: of its signatures; one that is on several devices keeps none, and says 0.
        flags: what it says of its person.
    """

    rp_id: str = "localhost"
    origin: str = ORIGIN
    count: int = 0
    counts: bool = True
    flags: AuthenticatorData.FLAG = _PRESENT_AND_VERIFIED
    cross_origin: bool = False
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``."""
        self.user_handle = websafe_decode(options["user"]["id"])
        client_data = self._client_data(CollectedClientData.TYPE.CREATE, options)
        public_key = ES256.from_cryptography_key(self.key.public_key())
        attested = AttestedCredentialData.create(Aaguid.NONE, self.credential_id, public_key)
        data = AuthenticatorData.create(self._rp_hash(), self.flags | AuthenticatorData.FLAG.AT, self._next(), attested)
        made = AttestationObject.create("none", data, {})
        return self._credential(
            clientDataJSON=client_data.b64, attestationObject=websafe_encode(made), transports=["internal", "odd"]
        )

    def get(self, options: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``."""
        client_data = self._client_data(CollectedClientData.TYPE.GET, options)
        data = AuthenticatorData.create(self._rp_hash(), self.flags, self._next())
        signature = self.key.sign(data + client_data.hash, ec.ECDSA(SHA256()))
        return self._credential(
            clientDataJSON=client_data.b64,
            authenticatorData=websafe_encode(data),
            signature=websafe_encode(signature),
            userHandle=websafe_encode(self.user_handle),
            **more,
        )

    def _client_data(self, kind: str, options: dict[str, Any]) -> CollectedClientData:
        return CollectedClientData.create(kind, options["challenge"], self.origin, self.cross_origin)

    def _credential(self, **response: Any) -> dict[str, Any]:
        named = websafe_encode(self.credential_id)
        return {
            "id": named,
            "rawId": named,
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }

    def _rp_hash(self) -> bytes:
        return hashlib.sha256(self.rp_id.encode()).digest()

    def _next(self) -> int:
        self.count += self.counts
        return self.count
