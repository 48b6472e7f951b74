"""``/oauth/authorize`` and ``/oauth/consent``: an application sends a person here, who signs in and decides."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core import signing
from django.http import HttpResponse, HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from identity.applications import codes, consents, redirects
from identity.applications import selectors as applications
from identity.browser import sessions as browsers
from identity.browser.authentication import refuse_forged
from identity.browser.pages import POLICY, Page
from identity.oauth.authorization import AuthorizationRequest, Destination, Refusal
from identity.oauth.parsers import StrictFormParser, read_form
from identity.sessions import selectors as sessions
from identity.sessions.models import Session
from identity.tokens import openid
from identity.tokens import services as tokens
from identity.tokens.authority import Authority
from identity.tokens.errors import InvalidRequest, InvalidToken, SessionOfOneTenant
from identity.tokens.requirements import policy_for, unmet
from permissions import policy, scopes
from tenants.registry.errors import TenantSuspended
from tenants.routing.middleware import tenant_of

_QUERY_LENGTH = 3500  # of a request, so that it can be come back to
_SINCE = "signed_in_since"  # ours: when a person was sent to sign in again
_SINCE_SECONDS = 3600


@dataclass(frozen=True)
class _Asked:
    """A request of an application, and the person before the browser."""

    destination: Destination
    request: AuthorizationRequest
    session: Session
    authority: Authority

    @property
    def scope(self) -> frozenset[str]:
        """What this person can let the application do, of what it asks for."""
        held, wanted = self.authority.held, self.request.scope
        return frozenset(scope for scope in wanted if scope in openid.SCOPES or scopes.holds(held, scope))


class _SignInAgain(Exception):
    """Somebody is to sign in first."""


class _AuthorizationPage(Page):
    """What both pages do: read the request, see who is there, and answer."""

    parser_classes = [StrictFormParser]

    def decide(self, request: Request) -> HttpResponseBase:
        """Answer a request whose person is there; implemented by each page."""
        raise NotImplementedError

    def _handle(self, request: Request) -> HttpResponseBase:
        """Answer whatever the query string asks.

        Raises:
            UnknownApplication, RedirectNotRegistered, InvalidRequest: nobody is sent anywhere.
        """
        query = request.META.get("QUERY_STRING", "")
        if len(query) > _QUERY_LENGTH:
            raise InvalidRequest("The request is too long.")
        self.parameters = read_form(query.encode("latin-1"))
        destination = Destination.of(self.parameters, tenant_of(request._request))
        wanted = None
        try:
            wanted = AuthorizationRequest.of(self.parameters, destination.application)
            self.asked = _Asked(destination, wanted, *self._person(request, destination, wanted))
            return self.decide(request)
        except Refusal as refusal:
            return _to(destination.with_answer(error=refusal.error, error_description=refusal.description))
        except _SignInAgain:
            if wanted is None or "none" in wanted.prompts:
                description = "Nobody is signed in, or not recently enough."
                return _to(destination.with_answer(error="login_required", error_description=description))
            return self._to_sign_in(request, destination, wanted)

    def _person(
        self, request: Request, destination: Destination, wanted: AuthorizationRequest
    ) -> tuple[Session, Authority]:
        """Return the sign-in of whoever is there, and what they may do in the application's tenant.

        Raises:
            Refusal: they have no place there, or the tenant does not let them in.
            _SignInAgain: nobody is there, or signed in too long ago.
        """
        try:
            principal = browsers.principal_of(request._request, enters=False)
        except APIException:  # it says why when they sign in
            principal = None
        if principal is None or principal.session_id is None or principal.id is None:
            raise _SignInAgain
        session = sessions.live_session(session_id=principal.session_id, user_id=principal.id)
        if session is None or not self._is_recent(session, wanted):
            raise _SignInAgain
        try:
            tenant_id = destination.application.tenant_id
            authority = tokens.authority_now(user_id=principal.id, tenant_id=tenant_id)
            authority = authority.bound_to(session.tenant_id).through(destination.application.pk)
        except (InvalidToken, SessionOfOneTenant, TenantSuspended) as error:
            raise Refusal("access_denied", "The person has no place in this application's tenant.") from error
        self._refuse_unmet(session, authority)
        return session, authority

    def _is_recent(self, session: Session, wanted: AuthorizationRequest) -> bool:
        """Tell whether a sign-in is as new as it has to be. Who was sent to sign in again has done so since."""
        proved_at = session.authenticated_at.timestamp()
        since = self._since()
        if since is not None:
            return proved_at >= since
        if "login" in wanted.prompts:
            return False
        return wanted.max_age is None or timezone.now().timestamp() - proved_at <= wanted.max_age

    def _refuse_unmet(self, session: Session, authority: Authority) -> None:
        """Let somebody sign in as the tenant's policy asks; if they have just done so, it is no use.

        Raises:
            Refusal, _SignInAgain: the policy is not met.
        """
        for error in unmet(policy_for(authority), session, authority.role):
            if error.status_code == 401 and self._since() is None:
                raise _SignInAgain
            raise Refusal("access_denied", str(error.detail))

    def _since(self) -> int | None:
        try:
            since: int = signing.loads(self.parameters.get(_SINCE, ""), salt=_SINCE, max_age=_SINCE_SECONDS)
        except signing.BadSignature:
            return None
        return since

    def _to_sign_in(self, request: Request, destination: Destination, wanted: AuthorizationRequest) -> HttpResponseBase:
        since = signing.dumps(int(timezone.now().timestamp()), salt=_SINCE)
        kept = {name: value for name, value in self.parameters.items() if name != _SINCE}
        back = f"/oauth/authorize?{urlencode({**kept, _SINCE: since})}"
        tenant = {} if tenant_of(request._request) else {"tenant": destination.application.tenant.slug}
        hint = {"email": wanted.login_hint} if wanted.login_hint else {}
        return _to(f"{settings.LOGIN_URL}?{urlencode({'next': back, **tenant, **hint})}")

    def _give_code(self, scope: frozenset[str]) -> HttpResponseBase:
        code = codes.issue(
            application=self.asked.destination.application,
            session=self.asked.session,
            scope=scope,
            redirect_uri=self.asked.destination.redirect_uri,
            code_challenge=self.asked.request.code_challenge,
            nonce=self.asked.request.nonce,
        )
        return _to(self.asked.destination.with_answer(code=code))

    def _ask(self, scope: frozenset[str]) -> Response:
        destination = self.asked.destination
        granted = policy.table()
        response = self.show(
            "oauth/consent.html",
            {
                "application": destination.application,
                "tenant": destination.application.tenant,
                "leads_to": redirects.source_of(destination.redirect_uri),
                "email": self.asked.session.user.email,
                "identity": [openid.SCOPES[name] for name in openid.among(scope)],
                "rights": [granted[name].description for name in sorted(scope - openid.SCOPES.keys())],
                "shown": " ".join(sorted(scope)),
                "query": urlencode(self.parameters),
            },
        )
        # Browsers hold the redirect after a form to its policy, and this one leads to the application.
        place = redirects.source_of(destination.redirect_uri)
        response["Content-Security-Policy"] = POLICY.replace("form-action 'self'", f"form-action 'self' {place}")
        response["Referrer-Policy"] = "no-referrer"
        return response


class AuthorizePage(_AuthorizationPage):
    """The authorization endpoint (RFC 6749 section 3.1)."""

    throttles = {"GET": "token", "POST": "token"}

    def get(self, request: Request) -> HttpResponseBase:
        return self._handle(request)

    def post(self, request: Request) -> HttpResponseBase:
        """The same request, in a form (OpenID Connect Core section 3.1.2.1): with GET, the browser sends its cookie."""
        return _to(f"{request.path}?{urlencode(request.data)}")

    def decide(self, request: Request) -> HttpResponseBase:
        """Give a code for what was agreed to before; else ask.

        Raises:
            Refusal: nothing can be had, or the person would have to be asked and must not be.
        """
        scope, wanted = self.asked.scope, self.asked.request
        if not scope:
            raise Refusal("invalid_scope", "This person can give none of the requested scopes.")
        application = self.asked.destination.application
        agreed = applications.consented(user_id=self.asked.session.user_id, application_id=application.pk)
        is_certain = application.is_confidential or redirects.shows_whose_it_is(self.asked.destination.redirect_uri)
        if scope <= agreed and is_certain and "consent" not in wanted.prompts:
            return self._give_code(scope)
        if "none" in wanted.prompts:
            raise Refusal("consent_required", "The person has not agreed to this yet.")
        return self._ask(scope)


class ConsentPage(_AuthorizationPage):
    """What the person says: a form of our own page, and of nobody else's."""

    throttles = {"POST": "token"}

    def post(self, request: Request) -> HttpResponseBase:
        refuse_forged(request._request)
        return self._handle(request)

    def decide(self, request: Request) -> HttpResponseBase:
        """Do as the person says, if that is about what they were shown.

        Raises:
            Refusal: they do not want it.
        """
        form: Any = request._request.POST
        scope = self.asked.scope
        if form.get("decision") != "allow":
            raise Refusal("access_denied", "The person does not want it.")
        if not scope or form.get("shown") != " ".join(sorted(scope)):
            return self._ask(scope)
        user_id, application = self.asked.session.user_id, self.asked.destination.application
        consents.give(application=application, user_id=user_id, scope=scope)
        return self._give_code(scope)


def _to(url: str) -> HttpResponseBase:
    """Send a browser somewhere, by GET whatever it sent (RFC 9700 section 4.12), also to an app with a scheme of its
    own, which Django's redirects refuse.
    """
    return HttpResponse(status=303, headers={"Location": url, "Referrer-Policy": "no-referrer"})
