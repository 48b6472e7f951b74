"""What signing and verifying an access token costs, by algorithm: why new keys are ES256 unless a setting says RS256.

    python tests/benchmarks/signing.py

Every algorithm signs and verifies the same claims through PyJWT, in turns, so that a busy machine is busy for all of
them; shown are medians in microseconds.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from rich.console import Console
from rich.progress import track
from rich.table import Table

ROUNDS, CALLS = 30, 40
CLAIMS = {
    "iss": "https://api.example.com", "aud": "https://api.example.com/api",
    "sub": "5f62cf9b-3ea5-4ce1-93ee-ed56d1ad0ef2",
    "client_id": "tenantry", "iat": 0, "exp": 2**40, "jti": "27a3558b8d7e431aa2460382d9d0d034",
    "scope": "clients:read members:read projects:read projects:write tasks:read tasks:write tenant:read",
    "ver": 476919398124,
    "sid": "cc7deb47-95c8-41e2-8225-1d0ae000be33", "auth_time": 0, "amr": ["pwd"], "role": "admin", "tenant": "acme",
    "tenant_id": "0e5251d3-8c8c-4e1c-bf54-e38011e333c5",
}  # fmt: skip
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def microseconds(call: Callable[[], Any]) -> float:
    """Return what one call takes, over CALLS of them."""
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


def main() -> None:
    """Measure in turns and print the table."""
    tokens = {name: jwt.encode(CLAIMS, key, algorithm=name) for name, key in KEYS.items()}
    sign: dict[str, list[float]] = {name: [] for name in KEYS}
    verify: dict[str, list[float]] = {name: [] for name in KEYS}
    for _ in track(range(ROUNDS), description="Measuring"):
        for name, key in KEYS.items():
            public, token = key.public_key(), tokens[name]
            sign[name].append(microseconds(lambda: jwt.encode(CLAIMS, key, algorithm=name)))  # noqa: B023 -- called here
            verify[name].append(
                microseconds(lambda: jwt.decode(token, public, algorithms=[name], audience=CLAIMS["aud"]))  # noqa: B023 -- as above
            )
    table = Table("algorithm", "sign µs", "verify µs", "token bytes")
    for name, token in tokens.items():
        table.add_row(
            name, f"{statistics.median(sign[name]):.0f}", f"{statistics.median(verify[name]):.0f}", str(len(token))
        )
    Console().print(table)


if __name__ == "__main__":
    main()
