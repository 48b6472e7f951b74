"""Which names a tenant may say are its own."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import idna
from django.conf import settings
from django.core.exceptions import ValidationError

from tenants.registry.names import validate_domain

_NAME_LENGTH = 253
_PUBLIC_MAIL = Path(__file__).parent / "public_mail.txt"

# Names that are nobody's, or mean something on every network: nobody can prove them, and they would fool people.
# RFC 2606 and 6761, 6762 (local), 7686 (onion), 8375 (home.arpa), 9476 (alt), and ICANN's resolution 2024.07.29.06
# (internal). `test` is for tests.
_SPECIAL = frozenset(
    ["alt", "arpa", "example", "example.com", "example.net", "example.org", "internal", "invalid", "local", "localhost",
     "onion"]
)  # fmt: skip


def normalize_domain(text: str) -> str:
    """Return a domain as it is kept: in lower case and ASCII, without a dot at its end.

    A name in another script is its A-label, ``bücher.de`` being ``xn--bcher-kva.de`` (RFC 5891, mapped as in UTS #46):
    what looks like another name is another one.

    Raises:
        ValidationError: it is no domain, or none that mail can have; code ``invalid_domain``.
    """
    try:
        ascii_name = text if text.isascii() else idna.encode(text, uts46=True).decode()
    except UnicodeError:
        raise ValidationError("This is no domain name.", code="invalid_domain") from None
    name = ascii_name.lower().removesuffix(".")
    validate_domain(name)
    if len(record_name(name)) > _NAME_LENGTH:
        raise ValidationError("There is no room for a record below this name.", code="invalid_domain")
    return name


def refuse_unfit(domain: str) -> None:
    """Refuse a (normalized) domain that is no tenant's to say.

    Raises:
        ValidationError: everybody gets addresses there (code ``public_mail_domain``), or it is the platform's own or
            has a special use (``reserved_domain``).
    """
    if _is_within(domain, public_mail_domains()):
        raise ValidationError("Anybody can get an address at this domain.", code="public_mail_domain")
    own = {host.lower() for host in (settings.BASE_DOMAIN, settings.OPERATOR_HOST, *settings.API_HOSTS) if host}
    if _is_within(domain, _SPECIAL | own):
        raise ValidationError("This name is reserved.", code="reserved_domain")


def record_name(domain: str) -> str:
    """Return where a domain's proof is. No host is called so: who may choose names of hosts proves nothing by them."""
    return f"_tenantry-challenge.{domain}"


def public_mail_domains() -> frozenset[str]:
    """Return the domains where anybody can get an address."""
    return _listed() | {domain.strip().lower() for domain in settings.PUBLIC_MAIL_DOMAINS}


@cache
def _listed() -> frozenset[str]:
    lines = (line.partition("#")[0].strip() for line in _PUBLIC_MAIL.read_text(encoding="ascii").splitlines())
    return frozenset(line for line in lines if line)


def _is_within(domain: str, names: Iterable[str]) -> bool:
    """Tell whether a domain is one of these names, or below one."""
    labels = domain.split(".")
    above = {".".join(labels[start:]) for start in range(len(labels))}
    return not above.isdisjoint(names)
