"""Authorization versions: the ``ver`` claim."""

import secrets

_BITS = 40  # far below 2**53, the largest integer of RFC 7493, and no two lives begin alike


def first_version() -> int:
    """Return the version that something begins with: random, so that whoever is removed and added again does not find
    their old tokens good. From there it counts up.
    """
    return secrets.randbits(_BITS)
