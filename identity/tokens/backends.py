"""The authentication backend for bearer tokens."""

from typing import Any
from uuid import UUID

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework_simplejwt.exceptions import TokenError

from identity.accounts.models import User
from identity.sessions.models import Api
from identity.sessions.proof import MULTI_FACTOR
from identity.tokens import liveness
from identity.tokens.claims import Claims
from identity.tokens.errors import InvalidToken
from identity.tokens.liveness import Enter
from identity.tokens.tokens import AccessToken, TenantAccessToken
from identity.tokens.verified import Verified, verify
from permissions import policy
from permissions.principals import Kind, Principal
from tenants.context.entry import Entry, look
from tenants.context.guards import Guard
from tenants.context.middleware import enter_for_request
from tenants.registry import plans
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

    token_class: type[AccessToken] = TenantAccessToken

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
        """Return whose token it is, and be in its tenant from here on. Raises as ``admit_read``, and:

        Raises:
            InvalidToken: it is malformed, forged or expired.
        """
        return self.admit_read(request, self.read(raw))

    def admit_read(self, request: HttpRequest, token: Verified) -> BearerPrincipal:
        """Return whose token was read, and be in its tenant from here on.

        Raises:
            InvalidToken: it is revoked.
            TenantMismatch: the request's host belongs to another tenant.
            TenantSuspended: nobody may enter the tenant for now.
        """
        return self._identify(
            request, token, lambda tenant_id, guard: enter_for_request(request, tenant_id, guard=guard)
        )

    def inspect(self, request: HttpRequest | None, raw: str) -> BearerPrincipal:
        """Return whose token it is, without entering anything. Raises as ``admit``."""
        return self.inspect_read(request, self.read(raw))

    def inspect_read(self, request: HttpRequest | None, token: Verified) -> BearerPrincipal:
        """Return whose token was read, without entering anything. Raises as ``admit_read``."""
        return self._identify(request, token, _look)

    def check(self, token: Verified, enter: Enter) -> Kind:
        """Refuse a token whose claims are no longer true, and return the kind of caller they make.

        Which claims are there says which kind it is, and a claim that the kind does not have is refused. What each kind
        stands on is looked up, so none passes for another.
        """
        claims, kid = token.claims, token.kid
        kind = token.kind
        if kind is None or not claims.scope <= policy.ceiling(kind):
            raise InvalidToken
        if claims.application_id is not None and not claims.scope <= policy.delegable():
            raise InvalidToken
        if claims.sign_in is None:
            liveness.check_client(claims, kid, enter)
        elif kind is Kind.SUPPORT:
            liveness.check_support(claims, claims.sign_in, kid, enter)
        elif kind is Kind.PERSON:
            liveness.check_session(claims, claims.sign_in, kid, Api.TENANT)
        else:
            liveness.check_member(claims, claims.sign_in, kid, enter)
        return kind

    def read(self, raw: str) -> Verified:
        """Return a token that we issued for this API and that has not expired; whether it is still true is not asked.

        Raises:
            InvalidToken: it is no such token.
        """
        try:
            return verify(self.token_class, raw)
        except TokenError as error:
            raise InvalidToken from error

    def introspect(self, raw: str) -> Claims:
        """Return what a token says, if all of it is true now. Raises as ``admit``."""
        token = self.read(raw)
        self.check(token, _look)
        return token.claims

    def _identify(self, request: HttpRequest | None, token: Verified, enter: Enter) -> BearerPrincipal:
        claims = token.claims
        host_tenant = tenant_of(request) if request is not None else None
        if host_tenant is not None and claims.tenant_id != host_tenant.id:
            raise TenantMismatch
        found: dict[str, Any] = {}

        def entering(tenant_id: UUID, guard: Guard) -> Entry:
            entry = enter(tenant_id, guard)
            found.update(entry.found)
            return entry

        kind = self.check(token, entering)
        return BearerPrincipal(
            kind=kind,
            id=claims.sub,
            tenant_id=claims.tenant_id,
            role=claims.role,
            scopes=claims.scope,
            session_id=claims.sign_in.sid if claims.sign_in else None,
            actor=claims.act,
            application_id=claims.application_id,
            authenticated_at=claims.sign_in.auth_time if claims.sign_in else None,
            only_tenant_id=found.get("only_tenant_id"),
            has_second_factor=claims.sign_in is not None and MULTI_FACTOR in claims.sign_in.amr,
            # What staff ask in support access is not the tenant's.
            requests_per_minute=plans.requests_per_minute(found["plan"], found["request_limit"])
            if "plan" in found and kind is not Kind.SUPPORT
            else None,
        )


def _look(tenant_id: UUID, guard: Guard) -> Entry:
    return look(tenant_id, guard=guard)
