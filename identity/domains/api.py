"""``/api/v1/domains``: mail domains of the tenant's own, and who joins by them."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.domains import selectors, services
from identity.domains.models import ClaimStatus, DomainClaim
from identity.roles.models import NAME_LENGTH
from permissions import callers
from permissions.roles import Role
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer

_DOMAIN_LENGTH = 253

_CLAIM = {
    "id": "5a0c55f8-0c6c-4f6b-9b4a-7f5c5e9d2f11",
    "domain": "marsh.example",
    "status": "pending",
    "record": {
        "type": "TXT",
        "name": "_tenantry-challenge.marsh.example",
        "value": "tenantry-verification=mXv0P3h5cJ9kq2T7yWb1uRzD4sLfE8aN",
    },
    "auto_join": True,
    "join_role": "member",
    "created_at": "2026-11-24T09:00:00Z",
    "expires_at": "2026-12-01T09:00:00Z",
    "proved_at": None,
    "checked_at": None,
}
_PROVED = _CLAIM | {
    "status": "proved",
    "expires_at": "2027-02-22T09:20:00Z",
    "proved_at": "2026-11-24T09:20:00Z",
    "checked_at": "2026-11-24T09:20:00Z",
}


def auto_join_field() -> serializers.BooleanField:
    """Return a field for whether people join by a domain."""
    return serializers.BooleanField(
        required=False,
        help_text="Once it is proved: whoever registers with an address there, and confirms it, becomes a member.",
    )


def join_role_field() -> serializers.CharField:
    """Return a field for the role that comes with a domain."""
    return serializers.CharField(
        max_length=NAME_LENGTH,
        required=False,
        help_text="Name of the role that they get: `member`, `viewer`, or a composed one with no more than a member's "
        "scopes.",
    )


class DnsRecordSerializer(serializers.Serializer[Any]):
    """A DNS record to publish."""

    type = serializers.CharField()
    name = serializers.CharField()
    value = serializers.CharField()


class DomainSerializer(StrictModelSerializer):
    """A domain that is the tenant's, or is said to be."""

    domain = serializers.CharField(
        max_length=_DOMAIN_LENGTH,
        help_text="Such as `example.com`. Names in other scripts come back in ASCII (`xn--…`).",
    )
    status = serializers.SerializerMethodField()
    record = DnsRecordSerializer(read_only=True, help_text="What proves the domain, in its DNS. Leave it there.")
    auto_join = auto_join_field()
    join_role = join_role_field()

    class Meta:
        model = DomainClaim
        fields = [
            "id",
            "domain",
            "status",
            "record",
            "auto_join",
            "join_role",
            "created_at",
            "expires_at",
            "proved_at",
            "checked_at",
        ]
        read_only_fields = ["id", "created_at", "expires_at", "proved_at", "checked_at"]
        extra_kwargs = {
            "expires_at": {"help_text": "Until when it can be proved; once it is, until when the proof holds."},
            "proved_at": {"help_text": "Since when it has been proved without a gap."},
            "checked_at": {"help_text": "When the record was last looked for."},
        }

    @extend_schema_field(serializers.ChoiceField(choices=ClaimStatus.choices))
    def get_status(self, claim: DomainClaim) -> str:
        return claim.status.value


class DomainChangeSerializer(StrictSerializer):
    """Who joins by a domain."""

    auto_join = auto_join_field()
    join_role = join_role_field()


class DomainFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    status = filters.ChoiceFilter(choices=ClaimStatus.choices, method="by_status")

    class Meta:
        model = DomainClaim
        fields = ["status"]

    def by_status(self, queryset: QuerySet[DomainClaim], name: str, value: str) -> QuerySet[DomainClaim]:
        return selectors.with_status(queryset, value)


@extend_schema_view(
    list=extend_schema(summary="List domains"),
    retrieve=extend_schema(
        summary="See a domain", examples=[OpenApiExample("To be proved", value=_CLAIM, response_only=True)]
    ),
)
class DomainViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[DomainClaim]):
    """The tenant's mail domains."""

    scopes = {
        "list": Scope.DOMAINS_READ,
        "retrieve": Scope.DOMAINS_READ,
        "create": Scope.DOMAINS_WRITE,
        "partial_update": Scope.DOMAINS_WRITE,
        "destroy": Scope.DOMAINS_WRITE,
    }
    serializer_class = DomainSerializer
    filterset_class = DomainFilter
    search_fields = ["domain"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "expires_at", "domain"]

    def get_queryset(self) -> QuerySet[DomainClaim]:
        return selectors.claims_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        summary="Add a domain",
        examples=[
            OpenApiExample(
                "Colleagues join by themselves",
                value={"domain": "marsh.example", "auto_join": True, "join_role": "member"},
                request_only=True,
            ),
            OpenApiExample("To be proved", value=_CLAIM, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request: Request) -> Response:
        """Say that a domain is the tenant's. Publish the `record` of the answer in the domain's DNS, then prove it.

        Nobody has a domain for saying so: nothing is known of other tenants here, and until it is proved nobody joins.
        A domain that is not proved within seven days has to be added again, for another record.

        Domains where everybody gets addresses are refused (`public_mail_domain`), and so is the platform's own
        (`reserved_domain`). The role is up to a member's (`unfit_role`), and up to your own (`outranked`,
        `scope_not_held`).
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        values = {"auto_join": False, "join_role": Role.MEMBER.value, **serializer.validated_data}
        claim = services.add_domain(
            tenant_id=callers.tenant_id(request),
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
            **values,
        )
        return Response(self.get_serializer(claim).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change who joins by a domain",
        request=DomainChangeSerializer,
        responses=DomainSerializer,
        examples=[
            OpenApiExample("As viewers", value={"auto_join": True, "join_role": "viewer"}, request_only=True),
        ],
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Say whether people join by the domain, and with which role. It concerns those who come from now on."""
        serializer = DomainChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        claim = services.change_domain(
            tenant_id=callers.tenant_id(request),
            claim_id=pk,
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
            changes=serializer.validated_data,
        )
        return Response(self.get_serializer(claim).data)

    @extend_schema(summary="Remove a domain")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Give a domain up: nobody joins by it any more, and another tenant may prove it. Members stay."""
        services.remove_domain(tenant_id=callers.tenant_id(request), claim_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProveDomainView(APIView):
    """Proving a domain. It enters the tenant by itself: none is kept entered while the DNS is asked."""

    enters_tenant = False
    scopes = {"POST": Scope.DOMAINS_WRITE}
    throttles = {"POST": "domain_verification"}

    @extend_schema(
        operation_id="domains_prove",
        summary="Prove a domain",
        request=None,
        responses=DomainSerializer,
        examples=[OpenApiExample("Proved", value=_PROVED, response_only=True)],
    )
    def post(self, request: Request, pk: UUID) -> Response:
        """Look for the domain's record in the DNS now. Where it is, the domain is the tenant's for 90 days; before they
        are over it is looked for again, so leave it where it is.

        Where it is not, the answer is 409 `domain_not_proved`, and `found` says what is there instead. A domain has one
        tenant: while another one's proof holds, the answer is 409 `domain_taken`.
        """
        claim = services.prove(tenant_id=callers.tenant_id(request), claim_id=pk)
        return Response(DomainSerializer(claim).data)
