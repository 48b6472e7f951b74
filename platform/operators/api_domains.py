"""``/operator/v1/tenants/{id}/domains``: hosts that lead to a tenant, and mail domains that it says are its own."""

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.domains.models import ClaimStatus, DomainClaim
from operators import tenant_details
from operators.backends import OperatorAuthentication
from operators.tenant_details import Hosts
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer
from tenants.registry import hosts
from tenants.registry.models import Domain
from tenants.registry.names import validate_domain


class HostSerializer(StrictModelSerializer):
    """A host that leads to the tenant."""

    class Meta:
        model = Domain
        fields = ["id", "domain", "is_primary", "created_at"]
        read_only_fields = ["id", "is_primary", "created_at"]
        extra_kwargs: dict[str, Any] = {
            # Whether it is free is decided where it is taken (409).
            "domain": {"validators": [validate_domain], "help_text": "A host name in lower case, in ASCII."},
            "is_primary": {"help_text": "It comes with the slug."},
        }


class MailDomainSerializer(serializers.ModelSerializer[DomainClaim]):
    """A mail domain that the tenant says is its own."""

    status = serializers.ChoiceField(choices=ClaimStatus.choices, read_only=True)

    class Meta:
        model = DomainClaim
        fields = ["id", "domain", "status", "auto_join", "join_role", "created_at", "expires_at", "proved_at"]
        read_only_fields = fields


class TenantHostsSerializer(serializers.Serializer[Hosts]):
    """What names the tenant."""

    hosts = HostSerializer(many=True)
    mail_domains = MailDomainSerializer(many=True, help_text="The tenant's own business: staff only see them.")


class TenantDomainViewSet(viewsets.ViewSet):
    """What names a tenant."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_TENANTS_READ,
        "create": Scope.PLATFORM_TENANTS_WRITE,
        "destroy": Scope.PLATFORM_TENANTS_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"destroy"}

    @extend_schema(operation_id="tenants_domains", summary="See a tenant's domains", responses=TenantHostsSerializer)
    def list(self, request: Request, pk: UUID) -> Response:
        """The hosts that lead to the tenant, and the mail domains that it says are its own."""
        return Response(TenantHostsSerializer(tenant_details.hosts_of(pk)).data)

    @extend_schema(
        operation_id="tenants_domains_create",
        summary="Add a host",
        request=HostSerializer,
        responses={201: HostSerializer},
        examples=[OpenApiExample("A customer's host", value={"domain": "app.example.com"}, request_only=True)],
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Let a host of the tenant's own lead to it, beside the one that comes with its slug. That its DNS leads here,
        and that there is a certificate for it, is the proxy's business.
        """
        serializer = HostSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        host = hosts.add_host(tenant_id=pk, host=serializer.validated_data["domain"])
        return Response(HostSerializer(host).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="tenants_domains_destroy", summary="Remove a host", responses={204: None})
    def destroy(self, request: Request, pk: UUID, domain_id: UUID) -> Response:
        """Let a host no longer lead to the tenant. The one that comes with its slug stays (`primary_host`)."""
        hosts.remove_host(tenant_id=pk, host_id=domain_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
