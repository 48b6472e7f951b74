"""``/api/v1/invitations``: inviting people."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError as RuleBroken
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from identity.accounts.models import normalize_email
from identity.invitations import selectors, services
from identity.invitations.models import Invitation, InvitationStatus
from identity.roles.models import NAME_LENGTH
from permissions import callers, limits
from permissions.scopes import Scope
from permissions.serializers import StrictModelSerializer, StrictSerializer

_MOST_AT_ONCE = 100


class InvitationSerializer(StrictModelSerializer):
    """An invitation. The token that accepts it is in the mail, and nowhere else."""

    role = serializers.CharField(max_length=NAME_LENGTH, help_text="Name of the role that it gives, up to your own.")
    status = serializers.SerializerMethodField()
    expires_in_days = serializers.IntegerField(
        min_value=1,
        max_value=settings.INVITATION_DAYS_LIMIT,
        required=False,
        default=settings.INVITATION_DAYS,
        write_only=True,
        help_text="How long it can be accepted.",
    )

    class Meta:
        model = Invitation
        fields = [
            "id",
            "email",
            "role",
            "status",
            "invited_by",
            "created_at",
            "sent_at",
            "expires_at",
            "accepted_at",
            "accepted_by",
            "expires_in_days",
        ]
        read_only_fields = ["id", "invited_by", "created_at", "sent_at", "expires_at", "accepted_at", "accepted_by"]

    @extend_schema_field(serializers.ChoiceField(choices=InvitationStatus.choices))
    def get_status(self, invitation: Invitation) -> str:
        return invitation.status_now


class BulkItemSerializer(InvitationSerializer):
    """One of several invitations. Whether its address is one is part of what becomes of it."""

    email = serializers.CharField(max_length=254)


class BulkSerializer(StrictSerializer):
    """Several invitations."""

    invitations = serializers.ListField(child=BulkItemSerializer(), min_length=1, max_length=_MOST_AT_ONCE)


class BulkResultSerializer(serializers.Serializer[Any]):
    """What became of one of them: an invitation, or the code of a problem and what it says."""

    email = serializers.CharField()
    invitation = InvitationSerializer(required=False)
    code = serializers.CharField(required=False, help_text="See [/docs/problems](/docs/problems).")
    detail = serializers.CharField(required=False)


class BulkResultsSerializer(serializers.Serializer[Any]):
    """What became of each, in the order of the request."""

    results = BulkResultSerializer(many=True)


class InvitationFilter(filters.FilterSet):  # type: ignore[misc]  # django-filter has no types
    status = filters.ChoiceFilter(choices=InvitationStatus.choices, method="by_status")

    class Meta:
        model = Invitation
        fields = ["status"]

    def by_status(self, queryset: QuerySet[Invitation], name: str, value: str) -> QuerySet[Invitation]:
        return selectors.with_status(queryset, value)


@extend_schema_view(
    list=extend_schema(summary="List invitations"),
    retrieve=extend_schema(summary="See an invitation"),
)
class InvitationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Invitation]):
    """Who is, or was, invited into the tenant."""

    scopes = {
        "list": Scope.INVITATIONS_READ,
        "retrieve": Scope.INVITATIONS_READ,
        "create": Scope.INVITATIONS_WRITE,
        "create_many": Scope.INVITATIONS_WRITE,
        "resend": Scope.INVITATIONS_WRITE,
        "revoke": Scope.INVITATIONS_WRITE,
    }
    throttles = {"create": "invitations", "create_many": "invitations", "resend": "invitations"}
    serializer_class = InvitationSerializer
    filterset_class = InvitationFilter
    search_fields = ["email"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at", "expires_at", "email"]

    def get_queryset(self) -> QuerySet[Invitation]:
        return selectors.invitations_of(callers.principal_of(self.request).tenant_id)

    @extend_schema(
        summary="Invite somebody",
        examples=[
            OpenApiExample(
                "A member", {"email": "vera@example.com", "role": "member", "expires_in_days": 7}, request_only=True
            )
        ],
    )
    def create(self, request: Request) -> Response:
        """Send somebody an invitation. Whoever has the address joins with it, with an account that is there or a new
        one.

        The role is up to your own (`outranked`, `scope_not_held`), and your rights are looked at again when the
        invitation is accepted. There is one pending invitation for an address (`already_invited`).
        """
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        invitation = self._invite(serializer.validated_data)
        return Response(self.get_serializer(invitation).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="invitations_create_many",
        summary="Invite several people",
        request=BulkSerializer,
        responses=BulkResultsSerializer,
        examples=[
            OpenApiExample(
                "Two people",
                value={
                    "invitations": [
                        {"email": "vera@example.com", "role": "member"},
                        {"email": "omar@example.com", "role": "viewer"},
                    ]
                },
                request_only=True,
            )
        ],
    )
    def create_many(self, request: Request) -> Response:
        """Send up to 100 invitations. Each stands for itself: the answer says of every address what became of it."""
        serializer = BulkSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        results = [self._try_to_invite(values) for values in serializer.validated_data["invitations"]]
        return Response({"results": results})

    @extend_schema(operation_id="invitations_resend", summary="Send an invitation again", request=None)
    def resend(self, request: Request, pk: UUID) -> Response:
        """Send it again with another token: the former one is void. It is good for as long as it was at first, and
        stands on your rights from now on.
        """
        self._count_mail_to(self.get_object().email)
        invitation = services.resend(
            tenant_id=callers.tenant_id(request),
            invitation_id=pk,
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(self.get_serializer(invitation).data)

    @extend_schema(operation_id="invitations_revoke", summary="Revoke an invitation", request=None)
    def revoke(self, request: Request, pk: UUID) -> Response:
        """Take it back. Revoking it twice changes nothing; an accepted one is over (`invitation_over`)."""
        invitation = services.revoke(tenant_id=callers.tenant_id(request), invitation_id=pk)
        return Response(self.get_serializer(invitation).data)

    def _count_mail_to(self, email: str) -> None:
        """Count a mail of this tenant's to an address: others' do not keep it from inviting."""
        limits.require("mail_to", f"{normalize_email(email)} from {callers.tenant_id(self.request)}")

    def _invite(self, values: dict[str, Any]) -> Invitation:
        self._count_mail_to(values["email"])
        return services.invite(
            tenant_id=callers.tenant_id(self.request),
            email=values["email"],
            role=values["role"],
            by=callers.caller_id(self.request),
            held=callers.principal_of(self.request).scopes,
            days=values["expires_in_days"],
        )

    def _try_to_invite(self, values: dict[str, Any]) -> dict[str, Any]:
        try:
            validate_email(values["email"])
            with transaction.atomic():
                invitation = self._invite(values)
        except APIException as error:
            return {"email": values["email"], "code": error.default_code, "detail": str(error.detail)}
        except RuleBroken as error:
            return {"email": values["email"], "code": _code(error), "detail": " ".join(error.messages)}
        return {"email": values["email"], "invitation": self.get_serializer(invitation).data}


def _code(error: RuleBroken) -> str:
    errors = error.error_dict.values() if hasattr(error, "error_dict") else [error.error_list]
    return next((single.code for group in errors for single in group if single.code), "validation_error")
