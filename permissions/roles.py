"""Built-in roles and their order. Which scopes each one holds is in ``policy.py``."""

from enum import StrEnum


class Role(StrEnum):
    """A member's role in one tenant, strongest first."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class OperatorRole(StrEnum):
    """A staff member's role on the platform, strongest first."""

    ADMIN = "admin"
    OPERATOR = "operator"
    SUPPORT = "support"


_STRONGEST_FIRST = tuple(Role)


def outranks(first: str, second: str) -> bool:
    """Tell whether tenant role `first` is strictly stronger than `second`.

    Raises:
        ValueError: one of them is no tenant role.
    """
    return _STRONGEST_FIRST.index(Role(first)) < _STRONGEST_FIRST.index(Role(second))
