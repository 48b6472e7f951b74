"""``/api/v1/clients``: the tenant's machine clients and their secrets."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.clients import selectors, services
from identity.clients.models import Client, ClientSecret
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer

_SCOPES = 100


def _in_the_future(value: Any) -> None:
    if value <= timezone.now():
        raise serializers.ValidationError("This time has passed.", code="in_the_past")


class SecretSerializer(StrictModelSerializer):
    """A secret's description; the secret itself is shown once, when it is made."""

    hint = serializers.CharField(read_only=True, help_text="Its last characters.")

    class Meta:
        model = ClientSecret
        fields = ["id", "hint", "expires_at", "created_at", "last_used_at"]
        read_only_fields = ["id", "created_at", "last_used_at"]
        extra_kwargs = {"expires_at": {"validators": [_in_the_future]}}


class NewSecretSerializer(SecretSerializer):
    """A new secret."""

    client_secret = serializers.CharField(read_only=True, help_text="Keep it: it is shown this once.")

    class Meta(SecretSerializer.Meta):
        fields = [*SecretSerializer.Meta.fields, "client_secret"]


class MachineClientSerializer(StrictModelSerializer):
    """A machine client. Its `id` is the OAuth `client_id`."""

    scopes = serializers.ListField(
        child=serializers.CharField(max_length=64),
        max_length=_SCOPES,
        help_text="What it may ask for: scopes that machine clients can hold, and that you hold.",
    )
    secrets: serializers.BaseSerializer[Any] = SecretSerializer(many=True, read_only=True)

    class Meta:
        model = Client
        fields = [
            "id",
            "name",
            "scopes",
            "is_active",
            "expires_at",
            "secrets",
            "created_by",
            "created_at",
            "last_used_at",
        ]
        read_only_fields = ["id", "created_by", "created_at", "last_used_at"]
        extra_kwargs = {"expires_at": {"validators": [_in_the_future]}}


class NewClientSerializer(MachineClientSerializer):
    """A new machine client with its first secret."""

    client_secret = serializers.CharField(read_only=True, help_text="Keep it: it is shown this once.")

    class Meta(MachineClientSerializer.Meta):
        fields = [*MachineClientSerializer.Meta.fields, "client_secret"]
        read_only_fields = [*MachineClientSerializer.Meta.read_only_fields, "is_active"]


class WantedSecretSerializer(StrictSerializer):
    """What a new secret may be given."""

    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None, validators=[_in_the_future])


@extend_schema_view(
    list=extend_schema(summary="List machine clients"),
    retrieve=extend_schema(summary="See a machine client"),
)
class ClientViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Client]):
    """The tenant's machine clients. They get tokens at `/oauth/token`."""

    scopes = {
        "list": Scope.CLIENTS_READ,
        "retrieve": Scope.CLIENTS_READ,
        "create": Scope.CLIENTS_WRITE,
        "partial_update": Scope.CLIENTS_WRITE,
        "destroy": Scope.CLIENTS_WRITE,
        "add_secret": Scope.CLIENTS_WRITE,
        "destroy_secret": Scope.CLIENTS_WRITE,
    }
    serializer_class = MachineClientSerializer
    filterset_fields = ["is_active"]
    search_fields = ["name"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "name"]

    def get_queryset(self) -> QuerySet[Client]:
        return selectors.clients_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(summary="Create a machine client", request=NewClientSerializer, responses={201: NewClientSerializer})
    def create(self, request: Request) -> Response:
        """Create a machine client with its first secret, which is in this answer and in no other.

        It belongs to the tenant: it goes on when you leave, and never gains from a change of roles. You cannot give it
        what your own token does not hold (`scope_not_held`).
        """
        serializer = NewClientSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = serializer.validated_data
        client, secret = services.create_client(
            tenant_id=callers.tenant_id(request),
            name=values["name"],
            scope=values["scopes"],
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
            expires_at=values.get("expires_at"),
        )
        body = {**MachineClientSerializer(client).data, "client_secret": secret}
        return Response(body, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Change a machine client")
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Rename it, change its scopes or its expiry, switch it off or on. But for a new name, its tokens are refused
        from their next request on.
        """
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        tenant_id = callers.tenant_id(request)
        services.change_client(
            tenant_id=tenant_id,
            client_id=pk,
            held=callers.principal_of(request).scopes,
            changes=serializer.validated_data,
        )
        return Response(self.get_serializer(selectors.client_of(tenant_id=tenant_id, client_id=pk)).data)

    @extend_schema(summary="Delete a machine client")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete it with its secrets. Its tokens are refused from their next request on."""
        services.delete_client(tenant_id=callers.tenant_id(request), client_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="clients_secrets_create",
        summary="Add a secret",
        request=WantedSecretSerializer,
        responses={201: NewSecretSerializer},
    )
    def add_secret(self, request: Request, pk: UUID) -> Response:
        """Give the client a second secret; put it in use, then delete the first one. At most two are live
        (`too_many_secrets`).

        You have to hold all scopes of the client, because you could act as it (`scope_not_held`).
        """
        serializer = WantedSecretSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row, secret = services.add_secret(
            tenant_id=callers.tenant_id(request),
            client_id=pk,
            held=callers.principal_of(request).scopes,
            **serializer.validated_data,
        )
        return Response({**SecretSerializer(row).data, "client_secret": secret}, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="clients_secrets_destroy", summary="Delete a secret")
    def destroy_secret(self, request: Request, pk: UUID, secret_pk: UUID) -> Response:
        """Delete a secret. All tokens of the client are refused from their next request on; with its other secret it
        gets new ones.
        """
        services.delete_secret(tenant_id=callers.tenant_id(request), client_id=pk, secret_id=secret_pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
