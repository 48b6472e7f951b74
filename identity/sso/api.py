"""``/api/v1/sso-connections``: the tenant's own OpenID Connect providers."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.oidc import http
from identity.oidc.providers import TENANT
from identity.roles.models import NAME_LENGTH as ROLE_LENGTH
from identity.sso import selectors, services
from identity.sso.addresses import backchannel_logout_uri, initiate_login_uri, redirect_uri
from identity.sso.models import (
    CLAIM_LENGTH,
    CLIENT_LENGTH,
    GROUP_LENGTH,
    SCOPE_LENGTH,
    URL_LENGTH,
    Connection,
    MemberIdentity,
)
from identity.sso.services import Caller
from permissions import callers, scopes
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer

_GROUPS = 100
_SECRET_LENGTH = 500

_WANTED = {
    "name": "Okta",
    "issuer": "https://marsh.okta.example",
    "client_id": "0oa1b2c3",
    "client_secret": "from the provider",
    "joins": True,
    "default_role": "member",
    "groups_claim": "groups",
    "group_roles": [{"group": "Tenantry admins", "role": "admin"}],
}
_CONNECTION = {
    "id": "7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10",
    "status": "draft",
    **{name: value for name, value in _WANTED.items() if name != "client_secret"},
    "scope": "openid email profile",
    "trusts_addresses": False,
    "admits_owners": False,
    "tested_at": None,
    "created_at": "2026-11-25T09:00:00Z",
    "updated_at": "2026-11-25T09:00:00Z",
    "at_provider": {
        "redirect_uri": "https://api.example.com/auth/sso/callback",
        "backchannel_logout_uri": (
            "https://api.example.com/auth/sso/7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10/backchannel-logout"
        ),
        "initiate_login_uri": "https://api.example.com/auth/sso/7d0c7a53-7f0e-4f35-8f0f-6c1d6f7b3f10/initiate",
    },
}


def caller_of(request: Request) -> Caller:
    """Return who changes a connection."""
    principal = callers.principal_of(request)
    return Caller(callers.tenant_id(request), callers.caller_id(request), principal.scopes)


def _validate_issuer(value: str) -> None:
    """Refuse what no issuer is called (OpenID Connect Discovery 1.0 section 3), and what stands for several."""
    if http.split(value) is None or "?" in value or TENANT in value:
        raise serializers.ValidationError("An issuer is an https URL without a query.", code="invalid_issuer")


def _validate_scope(value: str) -> None:
    if "openid" not in value.split(" ") or not value.isascii() or not value.isprintable() or {'"', "\\"} & set(value):
        raise serializers.ValidationError("Name `openid` among the scopes, separated by spaces.", code="invalid_scope")


class GroupRoleSerializer(StrictSerializer):
    """Which role a group at the provider gives."""

    group = serializers.CharField(
        max_length=GROUP_LENGTH, help_text="Just as the provider sends it: a name, or (Entra ID) an id."
    )
    role = serializers.CharField(max_length=ROLE_LENGTH, help_text="Name of a role, but not the owner's.")

    def to_representation(self, instance: Any) -> dict[str, str]:
        return {"group": instance.name, "role": instance.role}


class AtProviderSerializer(serializers.Serializer[Any]):
    """What to enter at the provider."""

    redirect_uri = serializers.CharField()
    backchannel_logout_uri = serializers.CharField(help_text="Where it says that somebody's session there is over.")
    initiate_login_uri = serializers.CharField(help_text="Where its own portal sends people who want to come in.")


class ConnectionSerializer(StrictModelSerializer):
    """A connection to an OpenID Connect provider of the tenant's own."""

    issuer = serializers.CharField(
        max_length=URL_LENGTH, validators=[_validate_issuer], help_text="As in the provider's discovery document."
    )
    client_id = serializers.CharField(max_length=CLIENT_LENGTH)
    client_secret = serializers.CharField(
        max_length=_SECRET_LENGTH, write_only=True, trim_whitespace=False, help_text="Kept encrypted, and never shown."
    )
    scope = serializers.CharField(
        max_length=SCOPE_LENGTH,
        required=False,
        validators=[_validate_scope],
        help_text="What the provider is asked for, space-separated; some need one more for groups.",
    )
    default_role = serializers.CharField(
        max_length=ROLE_LENGTH,
        required=False,
        help_text="The role of whoever joins, and of whom no group gives one: no more than a member's.",
    )
    groups_claim = serializers.CharField(
        max_length=CLAIM_LENGTH,
        required=False,
        allow_blank=True,
        help_text="The claim that lists somebody's groups. With `group_roles`, everybody gets the strongest role of "
        "theirs with every sign-in, else the default one; where a directory (SCIM) gives roles, it stays in charge.",
    )
    group_roles = GroupRoleSerializer(
        many=True,
        required=False,
        max_length=_GROUPS,  # type: ignore[call-arg]  # the list's, which `many` makes
    )
    at_provider = serializers.SerializerMethodField()

    class Meta:
        model = Connection
        fields = [
            "id",
            "name",
            "status",
            "issuer",
            "client_id",
            "client_secret",
            "scope",
            "joins",
            "default_role",
            "groups_claim",
            "group_roles",
            "trusts_addresses",
            "admits_owners",
            "tested_at",
            "created_at",
            "updated_at",
            "at_provider",
        ]
        read_only_fields = ["id", "status", "tested_at", "created_at", "updated_at"]
        extra_kwargs = {
            "joins": {"required": False, "help_text": "Whoever the provider vouches for becomes a member."},
            "trusts_addresses": {
                "required": False,
                "help_text": "The provider need not say `email_verified`, as Entra ID does not. Only where nobody "
                "there chooses their own address: else they come in as somebody else.",
            },
            "admits_owners": {
                "required": False,
                "help_text": "Owners come in by it as well; an owner alone says so.",
            },
            "tested_at": {"help_text": "When somebody last came through a trial, as the connection is now."},
        }

    def get_at_provider(self, connection: Connection) -> AtProviderSerializer:
        uris = {
            "redirect_uri": redirect_uri(),
            "backchannel_logout_uri": backchannel_logout_uri(connection.pk),
            "initiate_login_uri": initiate_login_uri(connection.pk),
        }
        return AtProviderSerializer(uris).data  # type: ignore[return-value]  # the annotation is for the documentation


class MemberIdentitySerializer(StrictModelSerializer):
    """Who a member is at the provider."""

    email = serializers.SerializerMethodField(
        help_text="The address that the provider last vouched for; null without the scope `member-addresses:read`."
    )

    class Meta:
        model = MemberIdentity
        fields = ["id", "membership", "subject", "email", "created_at"]
        read_only_fields = fields

    def get_email(self, identity: MemberIdentity) -> str | None:
        held = callers.principal_of(self.context["request"]).scopes
        return identity.email if scopes.holds(held, Scope.MEMBER_ADDRESSES_READ) else None


@extend_schema_view(
    list=extend_schema(summary="List connections"),
    retrieve=extend_schema(
        summary="See a connection", examples=[OpenApiExample("Connected", value=_CONNECTION, response_only=True)]
    ),
)
class ConnectionViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Connection]):
    """The tenant's own providers: who is known there, at an address of a domain that the tenant has proved, signs in
    here by it, to this tenant alone.
    """

    scopes = {
        "list": Scope.SSO_READ,
        "retrieve": Scope.SSO_READ,
        "create": Scope.SSO_WRITE,
        "partial_update": Scope.SSO_WRITE,
        "destroy": Scope.SSO_WRITE,
        "enable": Scope.SSO_WRITE,
        "disable": Scope.SSO_WRITE,
    }
    recent_sign_in = {"create", "partial_update", "destroy", "enable", "disable"}
    serializer_class = ConnectionSerializer
    search_fields = ["name", "issuer"]
    ordering = ["created_at"]
    ordering_fields = ["created_at", "name"]

    def get_queryset(self) -> QuerySet[Connection]:
        return selectors.connections_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        summary="Add a connection",
        examples=[
            OpenApiExample("Okta", value=_WANTED, request_only=True),
            OpenApiExample("Added", value=_CONNECTION, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request) -> Response:
        """Add a connection, as a draft. Enter at the provider what `at_provider` says, test the connection, then enable
        it.

        Whoever has a hand in a connection can come in as anybody whom it admits: it takes an administrator's rights,
        and an owner's where it admits owners (`outranked`, `scope_not_held`). No group, and no connection, makes
        owners (`owner_by_sso`).
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = services.create_connection(caller=caller_of(request), values=serializer.validated_data)
        return Response(self.get_serializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change a connection",
        examples=[OpenApiExample("Another secret", value={"client_secret": "the next one"}, request_only=True)],
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Change what is named; `group_roles` replaces all there were. Another issuer, or another client of it, makes
        the connection a draft again: whoever came in by it is out, and nobody is known there any more.
        """
        serializer = self.get_serializer(data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        row = services.change_connection(caller=caller_of(request), connection_id=pk, values=serializer.validated_data)
        return Response(self.get_serializer(row).data)

    @extend_schema(summary="Delete a connection")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Delete it. Whoever came in by it is out from their next request on; members stay."""
        services.delete_connection(caller=caller_of(request), connection_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="sso_connections_enable", summary="Enable a connection", request=None)
    def enable(self, request: Request, pk: UUID) -> Response:
        """Let people come in by it. Somebody has to have come through a trial first (`connection_not_tested`)."""
        row = services.enable_connection(caller=caller_of(request), connection_id=pk)
        return Response(self.get_serializer(row).data)

    @extend_schema(operation_id="sso_connections_disable", summary="Disable a connection", request=None)
    def disable(self, request: Request, pk: UUID) -> Response:
        """Let nobody come in by it; whoever did is out from their next request on. Where the sign-in policy asks for
        single sign-on, the last one stays (`sso_required`).
        """
        row = services.disable_connection(caller=caller_of(request), connection_id=pk)
        return Response(self.get_serializer(row).data)


@extend_schema_view(list=extend_schema(operation_id="sso_identities_list", summary="List who is who at the provider"))
class MemberIdentityViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[MemberIdentity]):
    """Which members have signed in by a connection, and as whom."""

    scopes = {"list": Scope.SSO_READ, "destroy": Scope.SSO_WRITE}
    recent_sign_in = {"destroy"}
    serializer_class = MemberIdentitySerializer
    ordering = ["-created_at"]
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[MemberIdentity]:
        tenant_id = callers.principal_of(self.request).tenant_id
        return selectors.identities_of(tenant_id=tenant_id, connection_id=self.kwargs.get("connection_id"))

    @extend_schema(operation_id="sso_identities_destroy", summary="Forget who somebody is at the provider")
    def destroy(self, request: Request, connection_id: UUID, pk: UUID) -> Response:
        """Forget it, and end the member's sessions by this connection. Whoever signs in next with the member's address
        is linked to them: the answer to `identity_mismatch`.
        """
        services.unlink(caller=caller_of(request), connection_id=connection_id, identity_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
