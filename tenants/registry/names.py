"""Names: slugs and domains that people choose, schema names that nobody chooses."""

import base64
import re
import secrets

from django.core.exceptions import ValidationError

SLUG_LENGTH = 40  # a host label may have 63; short is kinder
_SLUG = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){1,38}[a-z0-9]")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

# Hosts and paths that mean something already, or that a stranger would take for the platform's own.
RESERVED_SLUGS = frozenset(
    [
        "about",
        "abuse",
        "account",
        "accounts",
        "admin",
        "administrator",
        "api",
        "app",
        "apps",
        "assets",
        "auth",
        "autoconfig",
        "autodiscover",
        "billing",
        "blog",
        "cdn",
        "console",
        "contact",
        "dashboard",
        "default",
        "demo",
        "dev",
        "docs",
        "domains",
        "download",
        "email",
        "example",
        "ftp",
        "graphql",
        "health",
        "help",
        "home",
        "host",
        "hostmaster",
        "http",
        "https",
        "imap",
        "information-schema",
        "info",
        "internal",
        "invite",
        "jobs",
        "jwks",
        "ldap",
        "legal",
        "local",
        "localhost",
        "login",
        "logout",
        "mail",
        "master",
        "me",
        "media",
        "metrics",
        "mx",
        "news",
        "noreply",
        "ns",
        "ns1",
        "ns2",
        "oauth",
        "operator",
        "operators",
        "owner",
        "password",
        "payment",
        "platform",
        "pop",
        "pop3",
        "postgres",
        "postmaster",
        "privacy",
        "private",
        "production",
        "public",
        "register",
        "root",
        "saml",
        "scim",
        "script",
        "security",
        "server",
        "shared",
        "signin",
        "signup",
        "smtp",
        "sso",
        "staff",
        "stage",
        "staging",
        "static",
        "status",
        "store",
        "support",
        "sys",
        "sysadmin",
        "system",
        "team",
        "tenant",
        "tenants",
        "terms",
        "test",
        "trust",
        "undefined",
        "user",
        "users",
        "webmaster",
        "webhooks",
        "wiki",
        "www",
        "www1",
        "www2",
    ]
)


def validate_slug(slug: str) -> None:
    """Refuse a slug that cannot be a host label, or means something else already.

    3 to 40 characters of lower-case ASCII letters, digits and single hyphens, beginning with a letter, not ending with
    a hyphen: no upper case, no underscores, no IDNA prefix (``xn--``), so one host never looks like two.

    Raises:
        ValidationError: code ``invalid_slug`` or ``reserved_slug``.
    """
    if not _SLUG.fullmatch(slug):
        raise ValidationError(
            "Use 3 to 40 lower-case letters, digits and single hyphens; begin with a letter, end with no hyphen.",
            code="invalid_slug",
        )
    if slug in RESERVED_SLUGS or slug.startswith("pg-"):
        raise ValidationError("This name is reserved.", code="reserved_slug")


def validate_domain(domain: str) -> None:
    """Refuse what is not a host name in lower case, in ASCII (RFC 1123), of at least two labels.

    Raises:
        ValidationError: code ``invalid_domain``.
    """
    labels = domain.split(".")
    if len(domain) > 253 or len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise ValidationError("Use a host name such as app.example.com, in lower case.", code="invalid_domain")


def normalize_host(host: str) -> str:
    """Return `host` (from a Host header, port and trailing dot allowed) as it stands in the registry."""
    name = host.lower()
    if not name.startswith("["):  # an IPv6 address keeps its colons
        name = name.partition(":")[0]
    return name.removesuffix(".")


def generate_schema_name() -> str:
    """Return a new schema name: ``t_`` and 16 base32 characters (80 random bits). Never derived from user input."""
    return "t_" + base64.b32encode(secrets.token_bytes(10)).decode().lower()
