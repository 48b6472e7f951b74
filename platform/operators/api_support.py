"""``/operator/v1/tenants/{id}/support-access`` and ``/operator/v1/support-access``: staff inside a tenant."""

from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.tokens.api import token_response
from identity.tokens.minting import IssuedTokens
from identity.tokens.serializers import AccessTokenSerializer, device_of
from operators import accesses, support
from operators.backends import OperatorAuthentication
from operators.models import Access, SupportAccess, SupportStatus
from operators.support import Case
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer

_LONGEST_MINUTES = int(settings.SUPPORT_LIFETIME.total_seconds() // 60)


class WantedSupportSerializer(StrictSerializer):
    """Why somebody has to look into a tenant, and for what."""

    reason = serializers.CharField(max_length=500, help_text="What for; the tenant may read it.")
    ticket = serializers.CharField(max_length=64, help_text="The case that asks for it.")
    access = serializers.ChoiceField(choices=Access.choices, default=Access.READ.value)
    minutes = serializers.IntegerField(
        min_value=1,
        max_value=_LONGEST_MINUTES,
        default=_LONGEST_MINUTES,
        help_text="How long it goes on from its beginning. Nothing extends it.",
    )


class SupportAccessSerializer(serializers.ModelSerializer[SupportAccess]):
    """A support access: who, why, what, and how far it is."""

    status = serializers.SerializerMethodField()

    class Meta:
        model = SupportAccess
        fields = [
            "id", "tenant_id", "staff_id", "staff_name", "reason", "ticket", "access", "minutes", "status",
            "decided_by", "decided_at", "created_at", "started_at", "expires_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields
        extra_kwargs: ClassVar[dict[str, Any]] = {
            "staff_id": {"help_text": "The account of whoever it is: `act` of the events that they cause."},
            "access": {"help_text": "What is asked for; once an owner has decided, what there is."},
            "decided_by": {"help_text": "The account of the owner who decided; null where nobody had to."},
            "expires_at": {"help_text": "When its present status is over by itself."},
        }

    @extend_schema_field(serializers.ChoiceField(choices=SupportStatus.choices))
    def get_status(self, access: SupportAccess) -> str:
        return access.status_now.value


class SupportTokenSerializer(AccessTokenSerializer):
    """The token of a support access: there is one. There is no refresh token."""

    id = serializers.UUIDField(help_text="The support access, to end it by.")
    access = serializers.ChoiceField(choices=Access.choices)
    status = serializers.ChoiceField(choices=SupportStatus.choices)


class SupportFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    status = filters.ChoiceFilter(choices=SupportStatus.choices, method="by_status")

    class Meta:
        model = SupportAccess
        fields = ["status"]

    def by_status(self, queryset: QuerySet[SupportAccess], name: str, value: str) -> QuerySet[SupportAccess]:
        return accesses.with_status(queryset, value)


class StaffSupportFilter(SupportFilter):
    class Meta:
        model = SupportAccess
        fields = ["status", "tenant_id", "staff_id"]


@extend_schema_view(
    list=extend_schema(summary="List support accesses"), retrieve=extend_schema(summary="See a support access")
)
class SupportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[SupportAccess]):
    """Platform staff inside a tenant."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_SUPPORT_READ,
        "retrieve": Scope.PLATFORM_SUPPORT_READ,
        "create": Scope.PLATFORM_SUPPORT_WRITE,
        "token": Scope.PLATFORM_SUPPORT_WRITE,
        "destroy": Scope.PLATFORM_SUPPORT_WRITE,
    }
    recent_sign_in: ClassVar[set[str]] = {"create", "token"}
    serializer_class = SupportAccessSerializer
    filterset_class = StaffSupportFilter
    ordering = ["-created_at"]
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[SupportAccess]:
        return accesses.all_accesses()

    @extend_schema(
        operation_id="support_access_create",
        summary="Ask to look into a tenant",
        request=WantedSupportSerializer,
        responses={201: SupportTokenSerializer, 202: SupportAccessSerializer},
        examples=[
            OpenApiExample(
                "To read", value={"reason": "The May report is empty", "ticket": "T-4711"}, request_only=True
            )
        ],
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Ask to be let into a tenant. Its owners decide what needs no asking: then the token comes at once (201). It
        says in `act` who is there, opens that tenant's API and no other, and nothing extends it; without write access,
        the database itself refuses to write.

        Else an owner decides about this request within a day (202, `pending`), and the token of one that is `approved`
        is to be collected. A tenant may let nobody in (`support_refused`). One at a time for each tenant
        (`support_open`).
        """
        serializer = WantedSupportSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        access, tokens = support.ask(
            user_id=callers.caller_id(request),
            tenant_id=pk,
            case=Case(**serializer.validated_data),
            methods=["pwd"],
            device=device_of(request),
        )
        if tokens is None:
            return Response(SupportAccessSerializer(access).data, status=status.HTTP_202_ACCEPTED)
        return _token_response(access, tokens)

    @extend_schema(
        operation_id="support_access_token",
        summary="Collect the token of an approved support access",
        request=None,
        responses={201: SupportTokenSerializer},
    )
    def token(self, request: Request, pk: UUID) -> Response:
        """Begin a support access of one's own that an owner has approved: once, and within half an hour of that. Its
        time runs from here. Before the decision `support_not_decided`; a second time, or too late, `support_over`.
        """
        access, tokens = support.collect(
            user_id=callers.caller_id(request), access_id=pk, methods=["pwd"], device=device_of(request)
        )
        return _token_response(access, tokens)

    @extend_schema(operation_id="support_access_destroy", summary="End a support access", responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End a support access, or take the request back: its token is refused from the next request on."""
        support.end(access_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _token_response(access: SupportAccess, tokens: IssuedTokens) -> Response:
    response = token_response(tokens)
    own = {"id": str(access.pk), "access": access.access, "status": access.status_now.value}
    response.data = {**own, **response.data}
    response.status_code = status.HTTP_201_CREATED
    return response
