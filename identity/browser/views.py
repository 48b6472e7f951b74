"""``/sign-in``, with its ways to providers and back, ``/sign-out`` and ``/account``: pages for people."""

from base64 import b32encode
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identity.accounts import selectors as accounts
from identity.browser import providers, sessions
from identity.browser.authentication import refuse_forged
from identity.browser.errors import NoSuchWay, NotSignedInThere
from identity.browser.pages import POLICY, Page, safe_next
from identity.factors.proving import Answer
from identity.sessions.models import Api
from identity.tokens import answers, federated
from identity.tokens.errors import SecondFactorAwaited
from identity.tokens.minting import IssuedTokens
from identity.tokens.serializers import LoginSerializer, device_of
from identity.tokens.signals import told_of_sign_in
from permissions import callers
from permissions.limits import LimitReached
from permissions.scopes import Scope
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant
from tenants.registry.names import normalize_host
from tenants.routing.middleware import tenant_of

_LENGTH = 4000  # of a field, at most: what is longer is refused by whatever reads it


class _SignInPage(Page):
    """What all pages do by which one signs in.

    Browsers hold redirects to the policy of the form before them, and these may lead on to a provider, or to an app
    that asked for the sign-in: so the policy says nothing of where forms go.
    """

    throttles: ClassVar[dict[str, str]] = {"POST": "sign_in"}
    policy = POLICY.replace("; form-action 'self'", "")

    def _signed_in(self, issued: IssuedTokens) -> HttpResponseBase:
        sessions.begin(self.request._request, issued)
        return HttpResponseRedirect(self._next())

    def _next(self) -> str:
        return safe_next(self._field("next"))

    def _tenant(self) -> Tenant | None:
        """Return the tenant to sign in to: the host's, or the one that is named."""
        host, slug = tenant_of(self.request._request), self._field("tenant")
        if host is not None:
            return registry.tenant_by_id(host.id)
        return registry.tenant_by_slug(slug) if slug and slug.isprintable() else None

    def _ask(self, request: HttpRequest, error: APIException | None = None) -> Response:
        tenant = self._tenant()
        is_host = tenant_of(request) is not None
        context = {
            "tenant": tenant.name if tenant and is_host else "",
            "slug": "" if is_host else self._field("tenant"),
            "email": self._field("email"),
            "next": self._next(),
            "choices": providers.choices_for(tenant, host=normalize_host(request.get_host())),
            "error": _told(error),
        }
        return self.show("browser/sign_in.html", context, status=error.status_code if error else 200)

    def _ask_second(self, asked: dict[str, Any], error: APIException | None = None) -> Response:
        context = {"asked": asked, "next": self._next(), "error": _told(error)}
        if asked["enroll"] and not error:
            enrolling = answers.enroll(text=asked["challenge"], api=Api.TENANT)
            asked["key"] = b32encode(enrolling.secret).decode().rstrip("=")
        return self.show("browser/second_factor.html", context, status=error.status_code if error else 200)

    def _open_challenge(self) -> dict[str, Any]:
        """Return what was asked for already, as the form has it."""
        names = ("challenge", "methods", "enroll", "key")
        asked: dict[str, Any] = {name: self._field(name) for name in names}
        return asked | {"methods": asked["methods"].split(), "enroll": asked["enroll"].split()}

    def _field(self, name: str) -> str:
        request = self.request._request
        values = request.POST if request.method == "POST" else request.GET
        return str(values.get(name, ""))[:_LENGTH]


class SignInPage(_SignInPage):
    """Signing in with a browser: an address and a password, then a second factor if one is needed."""

    def get(self, request: Request) -> Response:
        return self._ask(request._request)

    def post(self, request: Request) -> HttpResponseBase:
        refuse_forged(request._request)
        is_second = bool(self._field("challenge"))
        try:
            with told_of_sign_in(Api.TENANT):
                return self._answer_challenge(request) if is_second else self._check_password(request)
        except SecondFactorAwaited as awaited:
            return self._ask_second(awaited.members)
        except LimitReached:
            raise
        except APIException as error:
            if is_second and error.default_code == "invalid_factor":
                return self._ask_second(self._open_challenge(), error)
            return self._ask(request._request, error)

    def _check_password(self, request: Request) -> HttpResponseBase:
        names = ("email", "password", "tenant")
        data = {name: self._field(name) for name in names if self._field(name)}
        serializer = LoginSerializer(data=data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        return self._signed_in(serializer.save())

    def _answer_challenge(self, request: Request) -> HttpResponseBase:
        code, recovery_code = (self._field(name).replace(" ", "") for name in ("code", "recovery_code"))
        given = Answer(recovery_code=recovery_code) if recovery_code else Answer(code=code)
        answered = answers.answer(
            text=self._field("challenge"),
            given=given,
            host_tenant=tenant_of(request._request),
            device=device_of(request),
        )
        going_on = self._signed_in(answered.tokens)
        if answered.recovery_codes:
            context = {"codes": answered.recovery_codes, "next": self._next()}
            return self.show("browser/recovery_codes.html", context)
        return going_on


class ProviderPage(_SignInPage):
    """Going to a provider to sign in there."""

    def post(self, request: Request) -> HttpResponseBase:
        refuse_forged(request._request)
        tenant = self._tenant()
        wanted = {name: self._field(name) for name in ("connection", "provider")}
        choices = providers.choices_for(tenant, host=normalize_host(request.get_host()))
        chosen = next((each for each in choices if wanted[each.field] == each.value), None)
        if chosen is None:
            return self._ask(request._request, NoSuchWay())
        try:
            url = providers.begin(request._request, choice=chosen, tenant=tenant, going_to=self._next())
        except APIException as error:
            return self._ask(request._request, error)
        return HttpResponseRedirect(url)


class ReturnPage(_SignInPage):
    """Coming back from a provider."""

    http_method_names = ("get", "options")  # a HEAD request would use the code up
    throttles: ClassVar[dict[str, str]] = {"GET": "sign_in"}
    going_to = ""

    def get(self, request: Request) -> HttpResponseBase:
        begun = providers.Begun.take(request._request) if sessions.has_cookie(request._request) else None
        if begun is None:
            return self._ask(request._request, NotSignedInThere())
        self.going_to = begun.next
        if not self._field("code"):
            return self._ask(request._request, NotSignedInThere(self._field("error")))
        try:
            with told_of_sign_in(Api.TENANT):
                issued = federated.sign_in(
                    code=self._field("code"),
                    code_verifier=begun.verifier,
                    host_tenant=tenant_of(request._request),
                    device=device_of(request),
                )
                return self._signed_in(issued)
        except SecondFactorAwaited as awaited:
            return self._ask_second(awaited.members)
        except APIException as error:
            return self._ask(request._request, error)

    def _next(self) -> str:
        return safe_next(self.going_to)


class SignOutPage(Page):
    """Signing out."""

    def post(self, request: Request) -> HttpResponseBase:
        refuse_forged(request._request)
        sessions.end(request._request)
        return HttpResponseRedirect(settings.LOGIN_URL)


class AccountPage(Page):
    """Who is signed in, and where."""

    enters_tenant = False
    acts_as_person = True
    scopes = {"GET": Scope.PROFILE_READ}

    def get(self, request: Request) -> Response:
        principal = callers.principal_of(request)
        user = accounts.user_by_id(callers.caller_id(request))
        tenant = registry.tenant_by_id(principal.tenant_id) if principal.tenant_id else None
        return self.show("browser/account.html", {"user": user, "tenant": tenant, "role": principal.role})


def _told(error: APIException | None) -> str:
    """Return what to say of a refusal to the person before the form."""
    if isinstance(error, ValidationError):
        return "Fill in both fields."
    return str(error.detail) if error else ""
