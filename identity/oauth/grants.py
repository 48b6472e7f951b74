"""The grants of the token endpoint: form in, token response out."""

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request

from identity.applications import codes
from identity.applications.models import Application
from identity.clients.models import Client
from identity.members.errors import NotAMember
from identity.oauth.errors import InvalidClient, InvalidGrant, InvalidTarget, UnauthorizedClient
from identity.tokens import services as tokens
from identity.tokens.backends import BearerBackend
from identity.tokens.errors import POLICY_UNMET, InvalidRequest, InvalidToken, SessionOfOneTenant
from identity.tokens.minting import IssuedTokens
from identity.tokens.services import SignedIn
from permissions import scopes
from permissions.scopes import Scope
from tenants.registry.errors import TenantSuspended
from tenants.routing.errors import TenantMismatch
from tenants.routing.middleware import tenant_of

AUTHORIZATION_CODE = "authorization_code"
CLIENT_CREDENTIALS = "client_credentials"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 -- the grant's name, no secret
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 -- as above
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 -- as above

_NO_CODE = "The code is not valid here (any more), or does not go with what was sent beside it."

Form = Mapping[str, str]
Caller = Client | Application | None


def authorization_code(request: Request, form: Form, caller: Caller) -> dict[str, Any]:
    """RFC 6749 section 4.1.3: what a person has let an application have.

    Raises:
        InvalidClient: no application calls.
        UnauthorizedClient: a machine client calls; it acts for nobody.
        InvalidRequest: a parameter is missing.
        InvalidGrant: the code is no good, here or now, or the tenant does not let the person in.
    """
    if caller is None:
        raise InvalidClient
    if not isinstance(caller, Application):
        raise UnauthorizedClient
    code, redirect_uri, verifier = (_required(form, name) for name in ("code", "redirect_uri", "code_verifier"))
    try:
        issued = codes.redeem(application_id=caller.pk, code=code, redirect_uri=redirect_uri, code_verifier=verifier)
    except (InvalidToken, SessionOfOneTenant) as error:
        raise InvalidGrant(_NO_CODE) from error
    except (TenantSuspended, *POLICY_UNMET) as error:
        raise InvalidGrant(str(error.detail)) from error
    if issued is None:
        raise InvalidGrant(_NO_CODE)
    return _response(issued)


def client_credentials(request: Request, form: Form, caller: Caller) -> dict[str, Any]:
    """RFC 6749 section 4.4: a machine client's own token.

    Raises:
        InvalidClient: no machine client calls.
        UnauthorizedClient: an application calls; it acts for people alone.
        InvalidGrant: its tenant is closed for now.
        InvalidScope: nothing of what was asked for can be had.
    """
    if caller is None:
        raise InvalidClient
    if not isinstance(caller, Client):
        raise UnauthorizedClient
    try:
        return _response(tokens.client_credentials(client=caller, scope=form.get("scope", "")))
    except TenantSuspended as error:
        raise InvalidGrant(str(error.detail)) from error


def refresh_token(request: Request, form: Form, caller: Caller) -> dict[str, Any]:
    """RFC 6749 section 6: the next tokens of a person's session. Those of an application are for itself alone.

    Raises:
        UnauthorizedClient: a machine client calls; refresh tokens are people's.
        InvalidRequest: there is no refresh token.
        InvalidGrant: it is no good, here or now or for whoever calls.
        InvalidScope: nothing of what was asked for can be had.
    """
    if isinstance(caller, Client):
        raise UnauthorizedClient
    text = _required(form, "refresh_token")
    try:
        issued = tokens.refresh(
            text=text,
            host_tenant=tenant_of(request._request),
            scope=form.get("scope", ""),
            application_id=caller.pk if caller else None,
        )
    except InvalidToken as error:
        raise InvalidGrant from error
    except (TenantSuspended, TenantMismatch, *POLICY_UNMET) as error:
        raise InvalidGrant(str(error.detail)) from error
    return _response(issued)


def token_exchange(request: Request, form: Form, caller: Caller) -> dict[str, Any]:
    """RFC 8693: from one tenant of a person to another. `audience` is the other tenant's slug.

    Raises:
        UnauthorizedClient: a machine client or an application calls; each is in one tenant.
        InvalidRequest: the subject token is no person's access token that is good here and may enter tenants.
        InvalidTarget: no such tenant, or not for this person.
        InvalidScope: nothing of what was asked for can be had there.
    """
    if caller is not None:
        raise UnauthorizedClient
    subject = _subject(request, form)
    if "resource" in form or "audience" not in form:
        raise InvalidTarget
    try:
        issued = tokens.switch(caller=subject, slug=form["audience"], scope=form.get("scope", ""))
    except NotAMember as error:
        raise InvalidTarget from error
    except (TenantSuspended, *POLICY_UNMET) as error:
        raise InvalidTarget(str(error.detail)) from error
    except InvalidToken as error:
        raise InvalidRequest("The subject token is not valid here.") from error
    return {**_response(issued), "issued_token_type": ACCESS_TOKEN_TYPE}


GRANTS = {
    AUTHORIZATION_CODE: authorization_code,
    CLIENT_CREDENTIALS: client_credentials,
    REFRESH_TOKEN: refresh_token,
    TOKEN_EXCHANGE: token_exchange,
}


def _subject(request: Request, form: Form) -> SignedIn:
    raw = _required(form, "subject_token")
    if _required(form, "subject_token_type") != ACCESS_TOKEN_TYPE:
        raise InvalidRequest("The subject token is an access token.")
    if form.get("requested_token_type", ACCESS_TOKEN_TYPE) != ACCESS_TOKEN_TYPE:
        raise InvalidRequest("What can be had is an access token.")
    if "actor_token" in form:
        raise InvalidRequest("Nobody acts for somebody else here.")
    try:
        principal = BearerBackend().inspect(request._request, raw)
    except (InvalidToken, TenantSuspended, TenantMismatch) as error:
        raise InvalidRequest("The subject token is not valid here.") from error
    if principal.session_id is None or principal.id is None:
        raise InvalidRequest("The subject token is no person's.")
    if not scopes.holds(principal.scopes, Scope.SESSIONS_WRITE):
        raise InvalidRequest(f"The subject token lacks the scope {Scope.SESSIONS_WRITE}.")
    return SignedIn(principal.id, principal.session_id, principal.tenant_id, principal.scopes)


def _required(form: Form, name: str) -> str:
    value = form.get(name)
    if value is None:
        raise InvalidRequest(f"The parameter {name} is missing.")
    return value


def _response(issued: IssuedTokens) -> dict[str, Any]:
    return {name: value for name, value in vars(issued).items() if value is not None}
