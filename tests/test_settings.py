"""Settings: production takes its secrets from the environment or does not start; keys are the kinds we can use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from identity.keys.pem import split_pems
from identity.keys.ring import generate_key, load_key
from identity.keys.selectors import key_ring

ROOT = Path(__file__).parents[1]
PRODUCTION = {
    "TENANTRY_ENV": "production",
    "SECRET_KEY": "x" * 60,
    "TENANTRY_SIGNING_KEYS": generate_key(),
    "DATABASE_URL": "postgresql://nobody@127.0.0.1/nowhere",
    "BASE_DOMAIN": "example.com",
    "API_HOSTS": "api.example.com",
    "ISSUER": "https://api.example.com",
    "TENANT_APPS": "examples.projects",
    "EMAIL_URL": "smtp+tls://nobody@127.0.0.1:587",
}


def start(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import django; django.setup(); from django.conf import settings as s;"
        "print(s.DEBUG, s.SECURE_SSL_REDIRECT, s.SECURE_HSTS_SECONDS > 0, s.EMBEDDED_POSTGRES, s.ISSUER)"
    )
    paths = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    clean = {"PATH": os.environ["PATH"], "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "config.settings"}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"DATA_DIR": str(tmp_path / "data")} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_starts_with_all_it_needs(tmp_path: Path) -> None:
    result = start(PRODUCTION, tmp_path)
    assert result.stdout.split() == ["False", "True", "True", "False", "https://api.example.com"], result.stderr


@pytest.mark.parametrize("name", ["SECRET_KEY", "BASE_DOMAIN", "API_HOSTS", "ISSUER", "TENANT_APPS", "EMAIL_URL"])
def test_production_starts_with_nothing_missing(tmp_path: Path, name: str) -> None:
    """And is the default: forgetting to say so is no way around it."""
    rest = {key: value for key, value in PRODUCTION.items() if key not in {name, "TENANTRY_ENV"}}
    result = start(rest, tmp_path)
    assert result.returncode != 0
    assert name in result.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"TENANTRY_ENV": "staging"},
        {"DATABASE_URL": "mysql://root@127.0.0.1/x"},
        {"EMAIL_URL": "http://127.0.0.1"},
        {"MAIL_DELIVERY": "pigeon"},
        {"EMAIL_VERIFICATION": "never"},
    ],
    ids=["environment", "database", "mail server", "mail delivery", "verification"],
)
def test_nonsense_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    result = start(PRODUCTION | change, tmp_path)
    assert result.returncode != 0
    assert "ImproperlyConfigured" in result.stderr


def test_a_broken_key_is_refused_without_being_repeated() -> None:
    broken = "-----BEGIN PRIVATE KEY-----\nbm8=\n-----END PRIVATE KEY-----"
    with override_settings(SIGNING_KEYS=[broken]), pytest.raises(ImproperlyConfigured) as error:
        key_ring()
    assert "bm8=" not in str(error.value)
    assert error.value.__cause__ is None


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_the_key_decides_the_algorithm() -> None:
    assert load_key(generate_key()).algorithm == "ES256"
    assert load_key(pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))).algorithm == "RS256"
    for unusable in (
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505 -- that it is refused is the test
    ):
        with pytest.raises(ImproperlyConfigured):
            load_key(pem(unusable))


def test_several_keys_verify_and_the_first_one_signs() -> None:
    first, second = generate_key(), generate_key()
    keys = split_pems(first + "\n" + second)
    with override_settings(SIGNING_KEYS=keys):
        assert key_ring().active.kid == load_key(first).kid
        assert set(key_ring().by_id) == {load_key(first).kid, load_key(second).kid}
