"""Deployment checks: ``manage.py check --deploy``, beside Django's own. Those marked (database) need one, and run with
``--database default`` added.

E001  the settings are development's
E002  SECRET_KEY, or one of its fallbacks, is weak
E003  SECRET_KEY is one of its own fallbacks
E004  there is no key to sign with that can be used
E005  BASE_DOMAIN, API_HOSTS or OPERATOR_HOST is this machine alone
E006  ISSUER is no https URL on an API host
E007  FRONTEND_URL is no https URL
E008  a browser app's origin is plain HTTP, or no origin
E009  BEHIND_PROXY and TRUSTED_PROXIES contradict each other
E010  cookies say who is calling, and nothing keeps other sites from using them
E011  both database URLs log in as the same role
E012  mail goes nowhere
E013  METRICS_TOKEN can be guessed
E020  (database) the app's role is past the wall, or may do more than serve
E021  (database) PostgreSQL is too old
E022  (database) there is no key to sign with
W001  nobody ends TLS in front of the process
W002  several processes count limits each for itself
W003  a process has fewer connections than threads
W004  addresses need not be proved
W005  mail is sent in the clear
W006  the database is reached in the clear, over a public network
W007  more than one fallback of SECRET_KEY
W008  identity providers may be at private addresses
W020  (database) more connections than the server has
W021  (database) the key that signs is old
"""

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 -- Django's name for it
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections
from django.utils import timezone

from config import gunicorn
from identity.keys import selectors as keys
from identity.keys.ring import KeyState
from tenants.wall.roles import APP, OWNER

TAG = "deployment"
_SECRET_CHARACTERS, _SECRET_DISTINCT = 43, 16  # 256 bits in base64; fewer distinct characters are no random ones
_TOKEN_CHARACTERS = 22  # 128 bits
_OLD = timedelta(days=180)
_OLDEST_POSTGRES = 150000  # server_version_num
_RESERVED_CONNECTIONS = 10  # for superusers, the worker and migrations
_NOWHERE = ("console", "dummy", "filebased", "locmem", "mailbox")
_ENCRYPTED = ("require", "verify-ca", "verify-full")

# What the role that serves must not be, and the SQL that tells.
_TOO_MUCH = {
    "is a superuser": "role.rolsuper",
    "bypasses row-level security": "role.rolbypassrls",
    "may make roles": "role.rolcreaterole",
    "may make databases": "role.rolcreatedb",
    "inherits the rights of tenants' roles (make it NOINHERIT)": "role.rolinherit",
    "owns tables, or may become their owner": (
        "EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.registry_tenant')"
        " AND pg_has_role(session_user, relowner, 'MEMBER'))"
    ),
}
_EXAMINE = f"SELECT {', '.join(_TOO_MUCH.values())} FROM pg_roles role WHERE role.rolname = session_user"  # noqa: S608 -- constants

_ROLE_HINT = "CREATE ROLE … LOGIN NOINHERIT PASSWORD …, and nothing more; see README, 'Roles in the database'."

Found = Iterator[CheckMessage]
Apps = Sequence[AppConfig] | None


def _error(number: int, message: str, hint: str) -> Error:
    return Error(message, hint=hint, id=f"config.E{number:03}")


def _warning(number: int, message: str, hint: str) -> Warning:
    return Warning(message, hint=hint, id=f"config.W{number:03}")


@register(TAG, deploy=True)
def check_secrets(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the secrets, and with the environment as a whole."""
    return [*_check_environment(), *_check_secret_key(), *_check_signing_keys(), *_check_metrics_token()]


def _check_environment() -> Found:
    if settings.IN_DEVELOPMENT:
        yield _error(1, "These are the settings of development.", "Deploy with TENANTRY_ENV=production, the default.")


def _check_secret_key() -> Found:
    fallbacks = settings.SECRET_KEY_FALLBACKS
    for name, secret in [("SECRET_KEY", settings.SECRET_KEY), *(("SECRET_KEY_FALLBACKS", key) for key in fallbacks)]:
        is_short = len(secret) < _SECRET_CHARACTERS or len(set(secret)) < _SECRET_DISTINCT
        if is_short and not _is_hexadecimal(secret):
            hint = "python -c 'import secrets; print(secrets.token_urlsafe(48))' makes one; refresh tokens stand on it."
            yield _error(2, f"{name} is short, or not random.", hint)
    if settings.SECRET_KEY in fallbacks:
        yield _error(3, "SECRET_KEY is among its fallbacks.", "Put the former one there, or nothing.")
    if len(fallbacks) > 1:
        hint = "Run `manage.py signing_keys rotate`, and drop those older than the longest session (SESSION_DAYS)."
        yield _warning(7, "SECRET_KEY has several fallbacks: each is as good as the key itself.", hint)


def _is_hexadecimal(secret: str) -> bool:
    """Tell whether this is as much as 256 bits in hexadecimal, which has 16 characters at most."""
    digits = set(secret.lower())
    return len(secret) >= 64 and digits <= set("0123456789abcdef") and len(digits) >= 12


def _check_signing_keys() -> Found:
    if keys.in_database():
        return
    try:
        _ = keys.key_ring().active
    except ImproperlyConfigured as error:
        yield _error(
            4, str(error), "Give private keys in PEM (P-256, or RSA of 2048 bits), or leave them to the database."
        )


def _check_metrics_token() -> Found:
    token = settings.METRICS_TOKEN
    if token and len(token) < _TOKEN_CHARACTERS:
        yield _error(13, "METRICS_TOKEN can be guessed.", "Take 22 random characters or more.")


@register(TAG, deploy=True)
def check_hosts(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with hosts and URLs."""
    return [*_check_local_hosts(), *_check_urls(), *_check_origins(), *_check_private_hosts()]


def _check_private_hosts() -> Found:
    if settings.OIDC_ALLOW_PRIVATE_HOSTS:
        hint = "Leave OIDC_ALLOW_PRIVATE_HOSTS off, unless every tenant that connects a provider is trusted."
        yield _warning(8, "Whoever names an identity provider reaches hosts inside.", hint)


def _check_local_hosts() -> Found:
    hosts = [("API_HOSTS", host) for host in settings.API_HOSTS]
    hosts += [("BASE_DOMAIN", settings.BASE_DOMAIN), ("OPERATOR_HOST", settings.OPERATOR_HOST)]
    for name, host in hosts:
        if _is_local(host):
            yield _error(5, f"{name} has {host!r}, which nobody else reaches.", "Name hosts as clients use them.")


def _check_urls() -> Found:
    issuer = urlsplit(settings.ISSUER)
    if issuer.scheme != "https" or issuer.hostname not in settings.API_HOSTS or issuer.query or issuer.fragment:
        hint = "It is in every token, and verifiers get our keys from there (RFC 8414): https://<one of API_HOSTS>."
        yield _error(6, f"ISSUER is {settings.ISSUER!r}: no https URL on an API host.", hint)
    if urlsplit(settings.FRONTEND_URL).scheme != "https":
        hint = "The links in mails lead there, and carry tokens."
        yield _error(7, f"FRONTEND_URL is {settings.FRONTEND_URL!r}: no https URL.", hint)


def _check_origins() -> Found:
    for origin in settings.CORS_ALLOWED_ORIGINS:
        parts = urlsplit(origin)
        if parts.scheme != "https" or not parts.hostname or parts.path:
            yield _error(8, f"CORS_ALLOWED_ORIGINS has {origin!r}.", "An origin is https://host, without a path.")


@register(TAG, deploy=True)
def check_transport(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the way from client to process, and with cookies."""
    return [*_check_proxies(), *_check_cookies()]


def _check_proxies() -> Found:
    if settings.BEHIND_PROXY and not settings.TRUSTED_PROXIES:
        hint = "Set TRUSTED_PROXIES to how many add to X-Forwarded-For, or all clients share the proxy's limits."
        yield _error(9, "BEHIND_PROXY is on and TRUSTED_PROXIES is 0.", hint)
    elif settings.TRUSTED_PROXIES and not settings.BEHIND_PROXY:
        hint = "Set BEHIND_PROXY=on where a proxy is in front; where none is, anybody would choose an address."
        yield _error(9, "TRUSTED_PROXIES is set and BEHIND_PROXY is off.", hint)
    if not settings.BEHIND_PROXY:
        hint = "Put a proxy with TLS in front, let it set X-Forwarded-Proto, and set BEHIND_PROXY=on."
        yield _warning(1, "BEHIND_PROXY is off: the process speaks plain HTTP and redirects all of it to https.", hint)


def _check_cookies() -> Found:
    """Whoever has a session in a browser is kept from being used by other sites, and from being read on the way."""
    has_sessions = "django.contrib.sessions.middleware.SessionMiddleware" in settings.MIDDLEWARE
    if not has_sessions:
        return
    if "django.middleware.csrf.CsrfViewMiddleware" not in settings.MIDDLEWARE:
        hint = "Add CsrfViewMiddleware after SessionMiddleware."
        yield _error(10, "There are sessions in cookies, and no protection against CSRF.", hint)
    if not settings.SESSION_COOKIE_SECURE or not settings.SESSION_COOKIE_HTTPONLY:
        hint = "Set SESSION_COOKIE_SECURE and SESSION_COOKIE_HTTPONLY."
        yield _error(10, "Session cookies are sent in the clear, or can be read by scripts.", hint)


@register(TAG, deploy=True)
def check_services(app_configs: Apps, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with how the database, Redis and mail servers are used; none of them is asked."""
    return [*_check_database_urls(), *_check_sizes(), *_check_mail()]


def _check_database_urls() -> Found:
    app, owner = (settings.DATABASES[alias] for alias in (APP, OWNER))
    if app.get("USER") and app.get("USER") == owner.get("USER"):
        yield _error(11, "DATABASE_URL and DATABASE_OWNER_URL log in as the same role.", _ROLE_HINT)
    for name, database in (("DATABASE_URL", app), ("DATABASE_OWNER_URL", owner)):
        mode = database.get("OPTIONS", {}).get("sslmode")
        if _is_public(str(database.get("HOST", ""))) and mode not in _ENCRYPTED:
            yield _warning(6, f"{name} has no sslmode, and a public host.", "Add ?sslmode=verify-full to it.")


def _check_sizes() -> Found:
    if gunicorn.workers > 1 and not settings.REDIS_URL:
        hint = "Set REDIS_URL; without it everybody has each limit once per process."
        yield _warning(2, f"{gunicorn.workers} processes count limits each for itself.", hint)
    largest = _pool_size()
    if largest < gunicorn.threads:
        hint = "Set DATABASE_POOL_MAX to WEB_THREADS + 1, or threads wait for each other."
        yield _warning(3, f"{gunicorn.threads} threads share {largest} connections.", hint)


def _check_mail() -> Found:
    if any(kind in settings.EMAIL_BACKEND for kind in _NOWHERE):
        hint = "Set EMAIL_URL=smtp+tls://user:password@host:587, or nobody can prove an address."
        yield _error(12, f"Mail goes nowhere: {settings.EMAIL_BACKEND}.", hint)
    elif not (settings.EMAIL_USE_TLS or settings.EMAIL_USE_SSL or _is_local(settings.EMAIL_HOST)):
        hint = "Use smtp+tls:// or smtp+ssl:// in EMAIL_URL: mails carry tokens."
        yield _warning(5, "Mail is sent in the clear.", hint)
    if settings.EMAIL_VERIFICATION != "required":
        hint = "Set EMAIL_VERIFICATION=required: else whoever registers somebody else's address can use the account."
        yield _warning(4, "Addresses need not be proved.", hint)


@register(Tags.database, deploy=True)
def check_database(app_configs: Apps, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return what is wrong with the database, as the app sees it. A database that cannot be reached is an exception."""
    if APP not in (databases or ()):
        return []
    return list(_check_role()) or [*_check_server(), *_check_stored_keys()]


def _check_role() -> Found:
    try:
        with connections[APP].cursor() as cursor:
            cursor.execute(_EXAMINE)
            row = cursor.fetchone()
    except ImproperlyConfigured as error:  # the process refuses to serve as this role at all
        yield _error(20, str(error), _ROLE_HINT)
        return
    faults = [fault for fault, is_so in zip(_TOO_MUCH, row, strict=True) if is_so]
    if faults:
        yield _error(20, f"The role of DATABASE_URL {' and '.join(faults)}.", _ROLE_HINT)


def _check_server() -> Found:
    with connections[APP].cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, current_setting('max_connections')::int")
        version, limit = cursor.fetchone()
    if version < _OLDEST_POSTGRES:
        yield _error(21, f"PostgreSQL {version // 10000} is too old.", "Use 15 or newer; 17 for thousands of tenants.")
    wanted = gunicorn.workers * _pool_size()
    if wanted > limit - _RESERVED_CONNECTIONS:
        hint = "Lower WEB_CONCURRENCY or DATABASE_POOL_MAX, raise max_connections, or put PgBouncer in between."
        yield _warning(20, f"{wanted} connections are wanted here alone, and the server has {limit}.", hint)


def _check_stored_keys() -> Found:
    if not keys.in_database():
        return
    try:
        _ = keys.key_ring().active
        active = [row for row, state in keys.stored_keys() if state is KeyState.ACTIVE]
    except (DatabaseError, ImproperlyConfigured):
        hint = "Run `manage.py migrate_platform`; after a change of SECRET_KEY, put the old one into its fallbacks."
        yield _error(22, "There is no signing key that can be used.", hint)
        return
    if active and active[0].activates_at < timezone.now() - _OLD:
        hint = "Run `manage.py signing_keys rotate --if-older-than 90` by cron."
        yield _warning(21, f"The key that signs is more than {_OLD.days} days old.", hint)


def _pool_size() -> int:
    return int(settings.DATABASES[APP]["OPTIONS"]["pool"]["max_size"])


def _is_local(host: str) -> bool:
    name = host.lower().rstrip(".")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith((".localhost", ".local"))


def _is_public(host: str) -> bool:
    """Tell whether a host is reached over networks of others: as far as its name or address tells."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".internal", ".local", ".localhost"))
