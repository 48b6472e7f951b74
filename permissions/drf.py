"""Enforcement: the permission class that every DRF view has by default."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.exceptions import MethodNotAllowed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from permissions import callers, endpoints
from permissions.errors import InsufficientScope, SignInTooOld
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
            SignInTooOld: the view asks for a recent sign-in here, and the caller's is an old one.
        """
        key = endpoints.handler_key(view, request.method or "")
        if key is None:
            raise MethodNotAllowed(request.method or "")
        if endpoints.is_public(request):
            return True
        since = None
        if endpoints.needs_recent_sign_in(type(view), key):
            since = time.time() - settings.STEP_UP_MAX_AGE.total_seconds()
        required = endpoints.declared(type(view)).get(key)
        decision = decide(callers.principal_of(request), required, signed_in_since=since)
        if decision.reason is Reason.NOT_AUTHENTICATED:
            raise NotAuthenticated
        if decision.reason is Reason.INSUFFICIENT_SCOPE:
            raise InsufficientScope(decision.missing)
        if decision.reason is Reason.SIGN_IN_TOO_OLD:
            raise SignInTooOld
        return bool(decision)
