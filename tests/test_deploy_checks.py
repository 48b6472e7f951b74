"""``manage.py check --deploy``: each thing that can be wrong with a deployment is told, by its id and with a hint."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django.utils import timezone

from config import checks, gunicorn
from identity.keys import selectors as keys
from identity.keys.models import StoredKey
from identity.keys.ring import generate_key

SOUND: dict[str, Any] = {
    "IN_DEVELOPMENT": False,
    "SECRET_KEY": "vZ3xkq0uNfE1wT8cYb6LmJr4hPdSa9GoXi2KtVnQeBy7CzUlWs5RjMgD",
    "SECRET_KEY_FALLBACKS": [],
    "BASE_DOMAIN": "example.com",
    "API_HOSTS": frozenset({"api.example.com"}),
    "ISSUER": "https://api.example.com",
    "FRONTEND_URL": "https://app.example.com",
    "CORS_ALLOWED_ORIGINS": ["https://app.example.com"],
    "BEHIND_PROXY": True,
    "TRUSTED_PROXIES": 1,
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
    "EMAIL_HOST": "smtp.example.com",
    "EMAIL_USE_TLS": True,
    "EMAIL_USE_SSL": False,
    "EMAIL_VERIFICATION": "required",
    "METRICS_TOKEN": "qkT7w0Zs9bR2xLc5VnEy8Hud",
    "SESSION_COOKIE_SECURE": True,
    "OIDC_ALLOW_PRIVATE_HOSTS": False,
}
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"

WRONG = {
    "development": ({"IN_DEVELOPMENT": True}, "E001"),
    "a short secret": ({"SECRET_KEY": "only-a-few-characters"}, "E002"),
    "a secret of a few letters": ({"SECRET_KEY": "abc" * 20}, "E002"),
    "digits": ({"SECRET_KEY": "0123" * 20}, "E002"),
    "a weak fallback": ({"SECRET_KEY_FALLBACKS": ["x" * 60]}, "E002"),
    "a fallback that is the key": ({"SECRET_KEY_FALLBACKS": [SOUND["SECRET_KEY"]]}, "E003"),
    "several fallbacks": ({"SECRET_KEY_FALLBACKS": [SOUND["SECRET_KEY"][1:], SOUND["SECRET_KEY"][2:]]}, "W007"),
    "a broken signing key": ({"SIGNING_KEYS": ["-----BEGIN PRIVATE KEY-----"]}, "E004"),
    "no file of signing keys": ({"SIGNING_KEYS_FILE": "/nonexistent/keys.pem"}, "E004"),
    "a metrics token": ({"METRICS_TOKEN": "metrics"}, "E013"),
    "a local domain": ({"BASE_DOMAIN": "acme.localhost"}, "E005"),
    "a local API host": ({"API_HOSTS": frozenset({"api.example.com", "127.0.0.1"})}, "E005"),
    "a local host of operators": ({"OPERATOR_HOST": "operators.localhost"}, "E005"),
    "an issuer without TLS": ({"ISSUER": "http://api.example.com"}, "E006"),
    "an issuer elsewhere": ({"ISSUER": "https://www.example.com"}, "E006"),
    "a frontend without TLS": ({"FRONTEND_URL": "http://app.example.com"}, "E007"),
    "an origin without TLS": ({"CORS_ALLOWED_ORIGINS": ["http://app.example.com"]}, "E008"),
    "an origin with a path": ({"CORS_ALLOWED_ORIGINS": ["https://app.example.com/"]}, "E008"),
    "a proxy of no number": ({"TRUSTED_PROXIES": 0}, "E009"),
    "a number without a proxy": ({"BEHIND_PROXY": False}, "E009 W001"),
    "no proxy": ({"BEHIND_PROXY": False, "TRUSTED_PROXIES": 0}, "W001"),
    "sessions without CSRF": ({"MIDDLEWARE": [SESSIONS], "SESSION_COOKIE_SECURE": True}, "E010"),
    "sessions in the clear": ({"MIDDLEWARE": [SESSIONS, CSRF], "SESSION_COOKIE_SECURE": False}, "E010"),
    "no Redis": ({"REDIS_URL": ""}, "W002"),
    "mail on the terminal": ({"EMAIL_BACKEND": "django.core.mail.backends.console.EmailBackend"}, "E012"),
    "mail for development": ({"EMAIL_BACKEND": "config.mailbox.DevelopmentBackend"}, "E012"),
    "mail in the clear": ({"EMAIL_USE_TLS": False}, "W005"),
    "providers inside": ({"OIDC_ALLOW_PRIVATE_HOSTS": True}, "W008"),
    "unproved addresses": ({"EMAIL_VERIFICATION": "optional"}, "W004"),
}


def found(tag: str = checks.TAG) -> str:
    """The ids of all that is wrong, with a hint each."""
    messages = run_checks(tags=[tag], include_deployment_checks=True)
    assert all(message.hint for message in messages)
    return " ".join(sorted(str(message.id).removeprefix("config.") for message in messages))


def in_database() -> str:
    messages = run_checks(tags=["database"], include_deployment_checks=True, databases=["default"])
    ours = [message for message in messages if str(message.id).startswith("config.")]
    assert all(message.hint for message in ours)
    return " ".join(sorted(str(message.id).removeprefix("config.") for message in ours))


def test_a_sound_deployment_passes() -> None:
    with override_settings(**SOUND):
        assert found() == ""
    keys_outside = {"SIGNING_KEYS": [generate_key()], "SECRET_KEY": "0123456789abcdef" * 4}  # 256 bits in hexadecimal
    with override_settings(**SOUND | keys_outside | {"SECRET_KEY_FALLBACKS": [SOUND["SECRET_KEY"]]}):
        assert found() == ""


@pytest.mark.parametrize(("change", "expected"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told(change: dict[str, Any], expected: str) -> None:
    with override_settings(**SOUND | change):
        assert found() == expected


def test_no_secret_is_repeated() -> None:
    weak = {"SECRET_KEY": "hunter2", "SECRET_KEY_FALLBACKS": ["hunter3"], "METRICS_TOKEN": "hunter4"}
    with override_settings(**SOUND | weak):
        told = " ".join(map(str, run_checks(tags=[checks.TAG], include_deployment_checks=True)))
    assert told
    assert "hunter" not in told


def test_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(**SOUND | {"REDIS_URL": ""}):
        monkeypatch.setattr(gunicorn, "workers", 1)
        assert found() == ""  # one process counts for all
        monkeypatch.setattr(gunicorn, "threads", 50)
        assert found() == "W003"


@pytest.mark.parametrize(
    ("host", "options", "expected"),
    [
        ("postgres", {}, ""),
        ("10.0.0.5", {}, ""),
        ("db.internal", {}, ""),
        ("8.8.8.8", {}, "W006"),
        ("db.example.com", {}, "W006"),
        ("db.example.com", {"sslmode": "prefer"}, "W006"),
        ("db.example.com", {"sslmode": "verify-full"}, ""),
    ],
)
def test_the_way_to_the_database(
    monkeypatch: pytest.MonkeyPatch, host: str, options: dict[str, str], expected: str
) -> None:
    database = settings.DATABASES["default"]
    told = {"HOST": host, "OPTIONS": database["OPTIONS"] | options, "USER": "tenantry_app"}
    monkeypatch.setitem(settings.DATABASES, "default", database | told)
    with override_settings(**SOUND):
        assert found() == expected


def test_two_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    for alias in ("default", "owner"):
        monkeypatch.setitem(settings.DATABASES, alias, settings.DATABASES[alias] | {"USER": "tenantry"})
    with override_settings(**SOUND):
        assert found() == "E011"


def test_a_sound_database_passes(db: None) -> None:
    assert in_database() == ""


def test_without_a_database_nothing_asks_for_one() -> None:
    """``check --deploy`` alone runs where there is none: while an image is built, in CI."""
    assert checks.check_database(None, databases=None) == []
    assert checks.check_database(None, databases=["owner"]) == []


def test_a_role_that_may_do_more_than_serve(unwrapped: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if DATABASE_URL were the owner's."""
    monkeypatch.setattr(checks, "APP", "owner")
    messages = checks.check_database(None, databases=["owner"])
    assert [message.id for message in messages] == ["config.E020"]
    assert "owns tables, or may become their owner" in messages[0].msg


def test_connections(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunicorn, "workers", 1000)
    assert in_database() == "W020"


def test_an_old_server(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ours were older than what is too old."""
    monkeypatch.setattr(checks, "_OLDEST_POSTGRES", 1_000_000)
    assert in_database() == "E021"


def test_keys_in_the_database(db: None) -> None:
    StoredKey.objects.update(activates_at=timezone.now() - timedelta(days=200))
    keys.forget()
    assert in_database() == "W021"
    with override_settings(SECRET_KEY="another one, which opens none of them"):
        keys.forget()
        assert in_database() == "E022"
    StoredKey.objects.all().delete()
    keys.forget()
    assert in_database() == "E022"


def test_the_list_of_ids_is_whole() -> None:
    """What the module's docstring lists is what there is."""
    documented = re.findall(r"^([EW]\d{3})  ", checks.__doc__ or "", re.MULTILINE)
    used = re.findall(r"_(error|warning)\(\s*(\d+), ", Path(checks.__file__).read_text())
    assert sorted(documented) == sorted({f"{kind[0].upper()}{int(number):03}" for kind, number in used})
