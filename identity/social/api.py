"""``/api/v1/auth/social`` and ``/api/v1/me/identities``: signing in by providers that the platform trusts."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.oidc import attempts
from identity.oidc.callbacks import CallbackView
from identity.oidc.client import Answer
from identity.oidc.models import Attempt
from identity.oidc.serializers import BeginSerializer, BegunSerializer, CodeSerializer
from identity.social import selectors, services
from identity.social.models import LinkedIdentity
from identity.social.providers import provider_by_key, providers
from identity.social.services import LINK, SIGN_IN, Told
from identity.tokens.serializers import scope_field
from permissions import callers
from permissions.scopes import Scope
from tenants.registry import selectors as registry
from tenants.registry.names import SLUG_LENGTH
from tenants.routing.middleware import tenant_of


class ProviderSerializer(serializers.Serializer[Any]):
    """A provider by which one signs in."""

    key = serializers.CharField(help_text="Its name in URLs.")
    name = serializers.CharField(help_text="For people.")


class ProvidersSerializer(serializers.Serializer[Any]):
    """All of them."""

    results = ProviderSerializer(many=True)


class BeginSocialSerializer(BeginSerializer):
    """Where to come back to, how to know who began, and where to sign in to."""

    tenant = serializers.CharField(max_length=SLUG_LENGTH, required=False, help_text="Slug of the tenant to enter.")
    scope = scope_field()


class ProvidersView(APIView):
    """The providers."""

    @extend_schema(operation_id="auth_social_providers", summary="List providers", responses=ProvidersSerializer)
    def get(self, request: Request) -> Response:
        """List the providers by which anybody may sign in here, for the buttons of a sign-in page."""
        return Response(ProvidersSerializer({"results": list(providers().values())}).data)


class StartView(APIView):
    """The beginning of a sign-in by a provider."""

    throttles = {"POST": "sign_in"}

    @extend_schema(
        operation_id="auth_social_start",
        summary="Begin to sign in by a provider",
        request=BeginSocialSerializer,
        responses=BegunSerializer,
    )
    def post(self, request: Request, key: str) -> Response:
        """Begin to sign in, and get the URL at the provider to send the browser to. It comes back to `return_to` with a
        `code`, which `/auth/federated` exchanges for tokens together with the `code_verifier`; or with an `error`.

        An identity that is linked to an account signs in to it. One that is linked to none gets a new account if the
        provider vouches for an address that has none yet; else that ends in `link_needed` or `address_unverified`.
        """
        provider = provider_by_key(key)
        host = tenant_of(request._request)
        tenant_id = host.id if host else _named_tenant(request.data)
        serializer = BeginSocialSerializer(data=request.data, context={"tenant_id": tenant_id})
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        attempt = attempts.begin(
            kind=SIGN_IN,
            provider_key=key,
            return_to=values["return_to"],
            code_challenge=values["code_challenge"],
            tenant_id=tenant_id,
            extra={"tenant": values.get("tenant") or (host and host.slug), "scope": values.get("scope", "")},
        )
        return Response(BegunSerializer({"authorization_url": provider.signing.authorization_url(attempt)}).data)


def _named_tenant(data: Any) -> UUID | None:
    """Return the id of the tenant that unchecked input names, if there is one: to its pages one may come back."""
    slug = data.get("tenant") if isinstance(data, dict) else None
    if not isinstance(slug, str) or len(slug) > SLUG_LENGTH or not slug.isprintable():
        return None
    tenant = registry.tenant_by_slug(slug)
    return tenant.pk if tenant else None


class SocialCallbackView(CallbackView):
    """Where the providers send browsers back to."""

    kinds = (SIGN_IN, LINK)

    def outcome(self, attempt: Attempt, answer: Answer) -> dict[str, Any]:
        """Return what the provider says of who came."""
        provider = provider_by_key(attempt.provider_key)
        return Told.of(provider, provider.signing.identify(attempt, answer)).to_json()


class LinkedIdentitySerializer(serializers.ModelSerializer[LinkedIdentity]):
    """An identity that opens the account, for its person to recognize."""

    class Meta:
        model = LinkedIdentity
        fields = ["id", "provider", "email", "created_at", "last_used_at"]
        read_only_fields = fields
        extra_kwargs = {
            "provider": {"help_text": "Key of the provider."},
            "email": {"help_text": "The address that the provider said last; it opens nothing."},
            "last_used_at": {"help_text": "When it was last signed in with."},
        }


@extend_schema_view(list=extend_schema(operation_id="me_identities_list", summary="List one's identities"))
class LinkedIdentityViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[LinkedIdentity]):
    """The caller's identities at providers: each signs in to their account."""

    enters_tenant = False
    scopes = {
        "list": Scope.SESSIONS_READ,  # which nobody has who is in by the word of one tenant, or acts for the person
        "start": Scope.PROFILE_WRITE,
        "create": Scope.PROFILE_WRITE,
        "destroy": Scope.PROFILE_WRITE,
    }
    recent_sign_in = {"start", "create", "destroy"}
    serializer_class = LinkedIdentitySerializer
    ordering = ["created_at"]
    ordering_fields = ["created_at"]

    @property
    def acts_as_person(self) -> bool:
        """Reading is the person's alone; the rest asks about the account as well."""
        return self.request.method == "GET"

    def get_queryset(self) -> QuerySet[LinkedIdentity]:
        return selectors.identities_of(callers.principal_of(self.request).id)

    @extend_schema(
        operation_id="me_identities_start",
        summary="Begin to link an identity",
        request=BeginSerializer,
        responses=BegunSerializer,
    )
    def start(self, request: Request, key: str) -> Response:
        """Begin to link one's identity at a provider, and get the URL at the provider to send the browser to. It comes
        back to `return_to` with a `code`, which is sent to `/me/identities`; or with an `error`.
        """
        provider = provider_by_key(key)
        host = tenant_of(request._request)
        tenant_id = host.id if host else None
        serializer = BeginSerializer(data=request.data, context={"tenant_id": tenant_id})
        serializer.is_valid(raise_exception=True)
        attempt = attempts.begin(
            **serializer.validated_data,
            kind=LINK,
            provider_key=key,
            tenant_id=tenant_id,
            user_id=callers.caller_id(request),
        )
        return Response(BegunSerializer({"authorization_url": provider.signing.authorization_url(attempt)}).data)

    @extend_schema(
        operation_id="me_identities_create",
        summary="Link an identity",
        request=CodeSerializer,
        responses={201: LinkedIdentitySerializer},
    )
    def create(self, request: Request) -> Response:
        """Link the identity that the browser came back with, to sign in with it from now on. It takes the person who
        has begun that, with their `code_verifier`; they are told by mail.
        """
        serializer = CodeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        outcome = attempts.take(**serializer.validated_data, kinds=(LINK,))
        row = services.link(user_id=callers.caller_id(request), outcome=outcome)
        return Response(self.get_serializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="me_identities_destroy", summary="Unlink an identity")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Let an identity sign in no more; its person is told by mail. What it has signed in goes on: end it at
        `/me/sessions`. The last way into the account stays (`last_way_in`).
        """
        services.unlink(user_id=callers.caller_id(request), identity_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
