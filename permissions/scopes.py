"""The vocabulary of scopes: names only.

Grammar: ``<resource>:<action>`` for tenant APIs and ``platform:<resource>:<action>`` for the operator API, in lower
case, words joined by hyphens. ``<resource>`` is the plural noun in the URL (singular where there is only one), and
``<action>`` is ``read`` or ``write``; ``write`` implies ``read`` of the same resource.

This module imports nothing of ours. What a scope means, which roles hold it and which kinds of caller may ever hold
it is one table, in ``policy.py``. An app beside this product declares its own scopes with ``policy.register``.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

PATTERN = re.compile(r"(?:platform:)?[a-z]+(?:-[a-z]+)*:(?:read|write)")
_OPERATOR_PREFIX = "platform:"


class Scope(StrEnum):
    """Scopes of the product itself."""

    PROFILE_READ = "profile:read"
    PROFILE_WRITE = "profile:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    TENANTS_WRITE = "tenants:write"
    TENANT_READ = "tenant:read"
    TENANT_WRITE = "tenant:write"
    SIGN_IN_POLICY_READ = "sign-in-policy:read"
    SIGN_IN_POLICY_WRITE = "sign-in-policy:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    MEMBER_ADDRESSES_READ = "member-addresses:read"
    INVITATIONS_READ = "invitations:read"
    INVITATIONS_WRITE = "invitations:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    DOMAINS_READ = "domains:read"
    DOMAINS_WRITE = "domains:write"
    AUDIT_EVENTS_READ = "audit-events:read"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    SSO_READ = "sso:read"
    SSO_WRITE = "sso:write"
    APPLICATIONS_READ = "applications:read"
    APPLICATIONS_WRITE = "applications:write"
    SCIM_READ = "scim:read"
    SCIM_WRITE = "scim:write"
    DIRECTORY_READ = "directory:read"
    DIRECTORY_WRITE = "directory:write"
    SUPPORT_ACCESS_READ = "support-access:read"
    SUPPORT_ACCESS_WRITE = "support-access:write"
    SUPPORT_SESSIONS_WRITE = "support-sessions:write"

    PLATFORM_PROFILE_READ = "platform:profile:read"
    PLATFORM_PROFILE_WRITE = "platform:profile:write"
    PLATFORM_STAFF_READ = "platform:staff:read"
    PLATFORM_STAFF_WRITE = "platform:staff:write"
    PLATFORM_AUDIT_EVENTS_READ = "platform:audit-events:read"
    PLATFORM_TENANTS_READ = "platform:tenants:read"
    PLATFORM_TENANTS_WRITE = "platform:tenants:write"
    PLATFORM_SUPPORT_READ = "platform:support:read"
    PLATFORM_SUPPORT_WRITE = "platform:support:write"
    PLATFORM_EXPORTS_READ = "platform:exports:read"
    PLATFORM_EXPORTS_WRITE = "platform:exports:write"
    PLATFORM_FLEET_READ = "platform:fleet:read"
    PLATFORM_FLEET_WRITE = "platform:fleet:write"
    PLATFORM_JOBS_READ = "platform:jobs:read"
    PLATFORM_JOBS_WRITE = "platform:jobs:write"
    PLATFORM_KEYS_READ = "platform:keys:read"
    PLATFORM_KEYS_WRITE = "platform:keys:write"


def is_operator_scope(scope: str) -> bool:
    """Tell whether `scope` belongs to the operator API."""
    return scope.startswith(_OPERATOR_PREFIX)


def is_reading(scope: str) -> bool:
    """Tell whether `scope` changes nothing."""
    return scope.endswith(":read")


def holds(held: frozenset[str], wanted: str) -> bool:
    """Tell whether `held` contains `wanted`, itself or through the ``write`` of the same resource."""
    if wanted in held:
        return True
    resource, _, action = wanted.rpartition(":")
    return action == "read" and f"{resource}:write" in held


def missing(held: frozenset[str], wanted: Iterable[str]) -> frozenset[str]:
    """Return what of `wanted` is not held, in any way."""
    return frozenset(scope for scope in wanted if not holds(held, scope))
