"""The authentication backend for bearer tokens."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.exceptions import TokenError

from identity.accounts.models import User
from identity.sessions.models import Api
from identity.tokens import liveness
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidToken
from identity.tokens.liveness import Enter
from identity.tokens.tokens import OperatorAccessToken, TenantAccessToken
from permissions.principals import Kind, Principal
from tenants.context.entry import look
from tenants.context.middleware import enter_for_request
from tenants.routing.errors import TenantMismatch
from tenants.routing.middleware import tenant_of


class BearerPrincipal(Principal):
    """A Principal that ``django.contrib.auth.authenticate`` may label with the backend it came from.

    It is no dataclass itself, so this one attribute can be set while every field stays frozen.
    """

    backend: str


class BearerBackend(BaseBackend):
    """Turn an access token into a Principal, if everything the token says is still true.

    ``django.contrib.auth.authenticate(request, bearer=token)`` answers who that is and changes nothing. DRF's
    authentication class calls ``admit``, which also enters the token's tenant until the end of the request.
    """

    token_class: type[TenantAccessToken] | type[OperatorAccessToken] = TenantAccessToken

    def authenticate(  # type: ignore[override]  # Django types it as a User; a Principal answers for one
        self, request: HttpRequest | None, bearer: str | None = None, **credentials: Any
    ) -> BearerPrincipal | None:
        """Return whose token it is, or None when it is no good here."""
        if bearer is None:
            return None
        try:
            return self.inspect(request, bearer)
        except APIException:
            return None

    def get_user(self, user_id: Any) -> User | None:
        """Return the account with this id, if it is active."""
        return User.objects.filter(pk=user_id, is_active=True).first()

    def admit(self, request: HttpRequest, raw: str) -> BearerPrincipal:
        """Return whose token it is, and be in its tenant from here on.

        Raises:
            InvalidToken: it is malformed, forged, expired or revoked, or meant for another API.
            TenantMismatch: the request's host belongs to another tenant.
            TenantSuspended: nobody may enter the tenant for now.
        """
        return self._identify(request, raw, lambda tenant_id, guard: enter_for_request(request, tenant_id, guard=guard))

    def inspect(self, request: HttpRequest | None, raw: str) -> BearerPrincipal:
        """Return whose token it is, without entering anything. Raises as ``admit``."""
        return self._identify(request, raw, lambda tenant_id, guard: look(tenant_id, guard=guard))

    def check(self, claims: Claims, enter: Enter) -> Kind:
        """Refuse claims that are no longer true, and return the kind of caller they make."""
        if claims.tenant_id is None:
            liveness.check_session(claims, Api.TENANT)
            return Kind.PERSON
        liveness.check_member(claims, claims.tenant_id, enter)
        return Kind.MEMBER

    def _identify(self, request: HttpRequest | None, raw: str, enter: Enter) -> BearerPrincipal:
        try:
            claims = self.token_class(raw).claims  # type: ignore[arg-type]  # simplejwt takes the text, and says Token
        except TokenError as error:
            raise InvalidToken from error
        host_tenant = tenant_of(request) if request is not None else None
        if host_tenant is not None and claims.tenant_id != host_tenant.id:
            raise TenantMismatch
        return BearerPrincipal(
            kind=self.check(claims, enter),
            id=claims.sub,
            tenant_id=claims.tenant_id,
            role=claims.role,
            scopes=claims.scope,
            session_id=claims.sid,
        )
