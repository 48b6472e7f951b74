"""Who may: a role of the host's tenant."""

from django.db import connection
from rest_framework import permissions

from tests.benchmarks.peers.stock.models import Membership

_WRITERS = {"owner", "admin", "member"}


def _may(request, role):
    return role is not None and (request.method in permissions.SAFE_METHODS or role in _WRITERS)


class RolePermission(permissions.IsAuthenticated):
    """Looks the role up for each request."""

    def has_permission(self, request, view):
        if not super().has_permission(request, view):
            return False
        membership = Membership.objects.filter(tenant=connection.tenant, user=request.user).first()
        return _may(request, membership and membership.role)


class RoleInTokenPermission(permissions.IsAuthenticated):
    """Takes the token's word for it."""

    def has_permission(self, request, view):
        token = request.auth
        return bool(token) and token["tenant"] == connection.schema_name and _may(request, token["role"])
