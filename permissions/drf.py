"""Enforcement: the permission class that every DRF view has by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from permissions import callers, endpoints
from permissions.errors import InsufficientScope
from permissions.policy import Reason, decide

if TYPE_CHECKING:  # DRF imports this module while it imports APIView
    from rest_framework.views import APIView


class ScopePermission(BasePermission):
    """Let a caller through who holds every scope that the view declares for this method or action.

    A public endpoint lets everybody through. A view that declares nothing lets nobody through: the start-up check
    refuses such a project, so this is the second line.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether the caller may go on.

        Raises:
            MethodNotAllowed: nothing answers this method; asked first, so that 405 needs no scope.
            NotAuthenticated: the caller brought no credentials.
            InsufficientScope: the caller's token lacks a scope.
        """
        key = endpoints.handler_key(view, request.method or "")
        if key is None:
            raise MethodNotAllowed(request.method or "")
        if endpoints.is_public(request):
            return True
        decision = decide(callers.principal_of(request), endpoints.declared(type(view)).get(key))
        if decision.reason is Reason.NOT_AUTHENTICATED:
            raise NotAuthenticated
        if decision.reason is Reason.INSUFFICIENT_SCOPE:
            raise InsufficientScope(decision.missing)
        return bool(decision)
