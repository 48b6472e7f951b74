"""Asking the DNS: text records, from the resolvers that the settings name."""

import ipaddress
import re

import dns.exception
import dns.resolver
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from dns.nameserver import Do53Nameserver

_WITH_PORT = re.compile(r"(?:(?P<v4>[\d.]+)|\[(?P<v6>[^\]]+)\]):(?P<port>\d{1,5})", re.ASCII)
_PORT, _PORTS = 53, range(1, 2**16)


class NoAnswer(Exception):
    """Nobody answered in time, or only to say that they cannot: nothing is known."""


def txt_records(name: str) -> list[str]:
    """Return the text records of a name, each as one string; none where there are none, or no such name.

    It takes ``settings.DNS_SECONDS`` at most, over UDP, and TCP where an answer is too long for that. An alias (CNAME)
    is followed by the resolver.

    Raises:
        NoAnswer: see there.
    """
    try:
        # An absolute name: it is never looked for below the server's own domain.
        answer = _resolver().resolve(f"{name}.", "TXT", raise_on_no_answer=False, search=False)
    except dns.resolver.NXDOMAIN:
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise NoAnswer from error
    # RFC 7208 section 3.3: the strings of one record are one text, without anything between them.
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer.rrset or ()]


def nameservers() -> list[Do53Nameserver]:
    """Return the resolvers that the settings name; none where the system's are asked.

    Raises:
        ImproperlyConfigured: one of them is no address.
    """
    return [_nameserver(text) for text in settings.DNS_NAMESERVERS]


def _resolver() -> dns.resolver.Resolver:
    own = nameservers()
    resolver = dns.resolver.Resolver(configure=not own)
    if own:
        resolver.nameservers = own
    resolver.lifetime = settings.DNS_SECONDS
    resolver.timeout = resolver.lifetime / 2  # of one resolver: then the next one is asked
    return resolver


def _nameserver(text: str) -> Do53Nameserver:
    address, port = text, str(_PORT)
    with_port = _WITH_PORT.fullmatch(text)
    if with_port is not None:
        address, port = with_port["v4"] or with_port["v6"], with_port["port"]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        parsed = None
    if parsed is None or int(port) not in _PORTS:
        example = "192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353"
        raise ImproperlyConfigured(f"DNS_NAMESERVERS has {text!r}; write {example}.")
    return Do53Nameserver(str(parsed), int(port))
