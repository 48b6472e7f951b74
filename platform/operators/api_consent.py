"""``/api/v1/support-access``: what a tenant sees of platform staff inside it, and says to it."""

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from operators import accesses, consent
from operators.api_support import SupportAccessSerializer, SupportFilter
from operators.models import Access, SupportAccess
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.registry import selectors as registry
from tenants.registry.models import SupportPolicy


class ApprovalSerializer(StrictSerializer):
    """What staff may do, if it is to be less than they asked for."""

    access = serializers.ChoiceField(choices=Access.choices, required=False)


class SupportPolicySerializer(StrictSerializer):
    """What platform staff may do in the tenant: `never` let them in, let them `ask` each time, let them `read` without
    asking (and ask to write), or let them `write` as well.
    """

    policy = serializers.ChoiceField(choices=SupportPolicy.choices)


@extend_schema_view(
    list=extend_schema(operation_id="support_accesses_list", summary="List support accesses"),
    retrieve=extend_schema(operation_id="support_accesses_retrieve", summary="See a support access"),
)
class ConsentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[SupportAccess]):
    """Platform staff who want to look into the tenant, do so now, or did. What they did is in the audit trail, with
    their `staff_id` as `act`.
    """

    scopes = {
        "list": Scope.SUPPORT_ACCESS_READ,
        "retrieve": Scope.SUPPORT_ACCESS_READ,
        "approve": Scope.SUPPORT_ACCESS_WRITE,
        "deny": Scope.SUPPORT_ACCESS_WRITE,
        "end": Scope.SUPPORT_SESSIONS_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"approve"}
    serializer_class = SupportAccessSerializer
    filterset_class = SupportFilter
    ordering = ["-created_at"]
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[SupportAccess]:
        return accesses.accesses_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        operation_id="support_accesses_approve",
        summary="Let platform staff in",
        request=ApprovalSerializer,
        responses=SupportAccessSerializer,
        examples=[OpenApiExample("To read only", value={"access": "read"}, request_only=True)],
    )
    def approve(self, request: Request, pk: UUID) -> Response:
        """Let the member of staff in who asks for it, for what they ask for or, with `access`, for less. They have half
        an hour to begin. What was decided about, or is over, is `support_over`.
        """
        serializer = ApprovalSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        row = consent.approve(
            tenant_id=callers.tenant_id(request),
            access_id=pk,
            access=serializer.validated_data.get("access"),
            by=callers.caller_id(request),
        )
        return Response(self.get_serializer(row).data)

    @extend_schema(
        operation_id="support_accesses_deny",
        summary="Keep platform staff out",
        request=None,
        responses=SupportAccessSerializer,
    )
    def deny(self, request: Request, pk: UUID) -> Response:
        """Refuse the member of staff who asks to be let in."""
        row = consent.deny(tenant_id=callers.tenant_id(request), access_id=pk, by=callers.caller_id(request))
        return Response(self.get_serializer(row).data)

    @extend_schema(
        operation_id="support_accesses_end",
        summary="End a support access",
        request=None,
        responses=SupportAccessSerializer,
    )
    def end(self, request: Request, pk: UUID) -> Response:
        """End a support access that is under way, or was approved: its token is refused from the next request on.
        Ending it twice changes nothing.
        """
        row = consent.end(tenant_id=callers.tenant_id(request), access_id=pk)
        return Response(self.get_serializer(row).data)


class SupportPolicyView(APIView):
    """What platform staff may do in the tenant, and whether they have to ask."""

    scopes = {"GET": Scope.SUPPORT_ACCESS_READ, "PUT": Scope.SUPPORT_ACCESS_WRITE}
    recent_sign_in: ClassVar[set[str]] = {"PUT"}

    @extend_schema(
        operation_id="support_policy_retrieve", summary="See the support policy", responses=SupportPolicySerializer
    )
    def get(self, request: Request) -> Response:
        """What platform staff may do in the tenant without asking its owners."""
        return Response({"policy": registry.support_policy(callers.tenant_id(request))})

    @extend_schema(
        operation_id="support_policy_update",
        summary="Set the support policy",
        request=SupportPolicySerializer,
        responses=SupportPolicySerializer,
        examples=[OpenApiExample("Ask each time", value={"policy": "ask"}, request_only=True)],
    )
    def put(self, request: Request) -> Response:
        """Say what platform staff may do in the tenant without asking its owners. It holds at once: with `never`,
        whoever is inside is out, and requests are denied; with less than before, whoever would have to ask now, and
        did not, is out.
        """
        serializer = SupportPolicySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        policy = SupportPolicy(serializer.validated_data["policy"])
        consent.set_policy(tenant_id=callers.tenant_id(request), policy=policy, by=callers.caller_id(request))
        return Response({"policy": policy})
