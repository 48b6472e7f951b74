"""Built-in roles. Which scopes each one holds is in ``policy.py``, who outranks whom in ``standing.py``."""

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
