"""``/api/v1/applications``: the third-party applications of a tenant, and their secrets."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.applications import redirects, selectors, services
from identity.applications.models import URL_LENGTH, Application, ApplicationSecret
from identity.clients.api import WantedSecretSerializer
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer

_SCOPES = 100


def _registrable(uri: str) -> None:
    if not redirects.is_allowed(uri):
        raise serializers.ValidationError(
            "Use https, http on the person's own machine (127.0.0.1, [::1], localhost), or a scheme of the app's own "
            "with a dot in it; without a fragment, a user, or dot segments.",
            code="redirect_uri_not_allowed",
        )


def _of_the_web(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise serializers.ValidationError("This is no https URL.", code="invalid_url")


class ApplicationSecretSerializer(StrictModelSerializer):
    """A secret's description; the secret itself is shown once, when it is made."""

    hint = serializers.CharField(read_only=True, help_text="Its last characters.")

    class Meta:
        model = ApplicationSecret
        fields = ["id", "hint", "expires_at", "created_at", "last_used_at"]
        read_only_fields = ["id", "expires_at", "created_at", "last_used_at"]


class NewApplicationSecretSerializer(ApplicationSecretSerializer):
    """A new secret."""

    client_secret = serializers.CharField(read_only=True, help_text="Keep it: it is shown this once.")

    class Meta(ApplicationSecretSerializer.Meta):
        fields = [*ApplicationSecretSerializer.Meta.fields, "client_secret"]


class ApplicationSerializer(StrictModelSerializer):
    """A third-party application. Its `id` is the OAuth `client_id`."""

    homepage_url = serializers.URLField(
        max_length=URL_LENGTH,
        required=False,
        allow_blank=True,
        validators=[_of_the_web],
        help_text="Its maker's page, for people who decide about it.",
    )
    logo_url = serializers.URLField(
        max_length=URL_LENGTH,
        required=False,
        allow_blank=True,
        validators=[_of_the_web],
        help_text="For lists of applications; no page of ours loads it.",
    )
    redirect_uris = serializers.ListField(
        child=serializers.CharField(max_length=URL_LENGTH, validators=[_registrable]),
        min_length=1,
        max_length=redirects.LIMIT,
        help_text="Where people may be sent back to: compared character by character, but for the port of the person's "
        "own machine.",
    )
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        max_length=_SCOPES,
        help_text="The most that people may let it do: scopes that machine clients can hold, and that you hold. "
        "Without any, it can still ask who somebody is.",
    )
    secrets: serializers.BaseSerializer[Any] = ApplicationSecretSerializer(many=True, read_only=True)

    class Meta:
        model = Application
        fields = [
            "id",
            "name",
            "homepage_url",
            "logo_url",
            "redirect_uris",
            "is_confidential",
            "scopes",
            "is_active",
            "secrets",
            "created_by",
            "created_at",
            "last_used_at",
        ]
        read_only_fields = ["id", "is_confidential", "created_by", "created_at", "last_used_at"]


class NewApplicationSerializer(ApplicationSerializer):
    """A new application with its first secret."""

    is_confidential = serializers.BooleanField(
        default=True, help_text="Whether it keeps a secret: not if it runs in a browser, or on people's own machines."
    )
    client_secret = serializers.CharField(
        read_only=True, required=False, help_text="Keep it: it is shown this once. A public application has none."
    )

    class Meta(ApplicationSerializer.Meta):
        fields = [*ApplicationSerializer.Meta.fields, "client_secret"]
        read_only_fields = ["id", "is_active", "created_by", "created_at", "last_used_at"]


@extend_schema_view(
    list=extend_schema(summary="List third-party applications"),
    retrieve=extend_schema(summary="See a third-party application"),
)
class ApplicationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Application]):
    """The third-party applications that the tenant lets its members use. Each member decides at `/oauth/authorize`."""

    scopes = {
        "list": Scope.APPLICATIONS_READ,
        "retrieve": Scope.APPLICATIONS_READ,
        "create": Scope.APPLICATIONS_WRITE,
        "partial_update": Scope.APPLICATIONS_WRITE,
        "destroy": Scope.APPLICATIONS_WRITE,
        "add_secret": Scope.APPLICATIONS_WRITE,
        "destroy_secret": Scope.APPLICATIONS_WRITE,
    }
    recent_sign_in = {"create", "partial_update", "add_secret"}
    serializer_class = ApplicationSerializer
    filterset_fields = ["is_active"]
    search_fields = ["name"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "name"]

    def get_queryset(self) -> QuerySet[Application]:
        return selectors.applications_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        summary="Register a third-party application",
        request=NewApplicationSerializer,
        responses={201: NewApplicationSerializer},
    )
    def create(self, request: Request) -> Response:
        """Register an application; its first secret is in this answer and in no other.

        It does nothing by itself: it acts for those members who let it, and never does more than they may themselves.
        You cannot allow it what your own token does not hold (`scope_not_held`), nor what is kept from programs
        (`scope_not_grantable`).
        """
        serializer = NewApplicationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        application, secret = services.create_application(
            tenant_id=callers.tenant_id(request),
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
            scope=values.pop("scopes", []),
            details=values,
        )
        body = {**ApplicationSerializer(application).data, **({"client_secret": secret} if secret else {})}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a third-party application")
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename it, change where it leads or what it may be allowed, switch it off or on. Switched off, or with fewer
        scopes, it is refused from its next request on, for everybody.

        You have to hold all of its scopes to switch it on, or to let it lead elsewhere (`scope_not_held`).
        """
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        tenant_id = callers.tenant_id(request)
        services.change_application(
            tenant_id=tenant_id,
            application_id=pk,
            held=callers.principal_of(request).scopes,
            changes=serializer.validated_data,
        )
        return Response(self.get_serializer(selectors.application_of(tenant_id=tenant_id, application_id=pk)).data)

    @extend_schema(summary="Delete a third-party application")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete it, with what people agreed to. It is refused from its next request on."""
        services.delete_application(tenant_id=callers.tenant_id(request), application_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="applications_secrets_create",
        summary="Add a secret",
        request=WantedSecretSerializer,
        responses={201: NewApplicationSecretSerializer},
    )
    def add_secret(self, request: Request, pk: UUID) -> Response:
        """Give the application a second secret; put it in use, then delete the first one. At most two are live
        (`too_many_secrets`).

        You have to hold all of its scopes, because you could act as it (`scope_not_held`).
        """
        serializer = WantedSecretSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row, secret = services.add_secret(
            tenant_id=callers.tenant_id(request),
            application_id=pk,
            held=callers.principal_of(request).scopes,
            **serializer.validated_data,
        )
        body = {**ApplicationSecretSerializer(row).data, "client_secret": secret}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="applications_secrets_destroy", summary="Delete a secret")
    def destroy_secret(self, request: Request, pk: UUID, secret_pk: UUID) -> Response:
        """Delete a secret. What the application does for people ends with it, whichever secret that came from; they
        need not agree anew.
        """
        services.delete_secret(tenant_id=callers.tenant_id(request), application_id=pk, secret_id=secret_pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
