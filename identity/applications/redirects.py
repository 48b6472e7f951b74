"""Where a person may be sent back to: which redirect URIs can be registered, and which are the same.

They are compared character by character (RFC 9700 section 2.1). The one exception is the port of an app on the person's
own machine, which listens wherever there is room (RFC 8252 section 7.3).
"""

import re

LIMIT = 10
_CHARACTERS = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/?\[\]-]+", re.ASCII)  # RFC 3986, without the fragment's
_HOST = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
_REST = r"(?P<rest>(?:[/?].*)?)"
_WEB = re.compile(rf"(?P<origin>https://{_HOST}(?::\d{{1,5}})?){_REST}", re.ASCII)
_LOOPBACK = re.compile(rf"(?P<host>http://(?:127\.0\.0\.1|\[::1\]|localhost))(?P<port>:\d{{1,5}})?{_REST}", re.ASCII)
# RFC 8252 section 7.1: a domain of its maker's in reverse, so a dot is in it.
_OWN_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+:)/.*", re.ASCII)
_DOTS = re.compile(r"/\.{1,2}(?:[/?]|$)|/%2e", re.ASCII | re.IGNORECASE)  # segments that a browser resolves


def is_allowed(uri: str) -> bool:
    """Tell whether an application may register a URI: of ``https``; of ``http`` on the person's own machine; or with
    a scheme of its own that has a dot in it. It has no fragment, no user and nothing that a browser would rewrite.
    """
    if not _CHARACTERS.fullmatch(uri) or _DOTS.search(uri):
        return False
    return any(form.fullmatch(uri) for form in (_WEB, _LOOPBACK, _OWN_SCHEME))


def is_registered(uri: str, registered: list[str]) -> bool:
    """Tell whether a URI is one of the registered ones, but for the port of a loopback address."""
    if uri in registered:
        return True
    own = _LOOPBACK.fullmatch(uri) if is_allowed(uri) else None
    return own is not None and any(
        own["host"] == other["host"] and own["rest"] == other["rest"]
        for other in map(_LOOPBACK.fullmatch, registered)
        if other is not None
    )


def shows_whose_it_is(uri: str) -> bool:
    """Tell whether whoever answers at a URI is who registered it: any program on a person's machine can listen on it,
    or claim a scheme (RFC 8252 section 8.6).
    """
    return uri.startswith("https://")


def source_of(uri: str) -> str:
    """Return what a Content-Security-Policy calls the place where a URI leads."""
    web = _WEB.fullmatch(uri)
    if web is not None:
        return web["origin"]
    own = _OWN_SCHEME.fullmatch(uri)
    return own["scheme"] if own is not None else "http:"  # a policy has no name for an IPv6 address
