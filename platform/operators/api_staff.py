"""``/operator/v1/staff`` and ``/operator/v1/me``: who works for the platform, and who is asking."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.sessions.api import MySessionViewSet
from identity.sessions.models import Api
from operators import selectors, staff
from operators.backends import OperatorAuthentication
from operators.models import ROLES, Operator
from permissions import callers
from permissions.roles import OperatorRole
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer

_EXAMPLE = OpenApiExample(
    "A member of staff",
    value={
        "id": "1c6c7d0a-52b8-4f5e-9d35-3c7c9f1f8a01",
        "user_id": "8c5a4bf0-7cc3-4821-b5f5-b23c862975f3",
        "email": "ana@platform.example",
        "name": "Ana",
        "role": "operator",
        "is_active": True,
        "created_at": "2026-01-15T09:30:00Z",
    },
    response_only=True,
)


class StaffSerializer(serializers.ModelSerializer[Operator]):
    """Somebody on the staff."""

    user_id = serializers.UUIDField(read_only=True, help_text="Their account.")
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    is_active = serializers.BooleanField(read_only=True, help_text="False: they are kept out until they are enabled.")

    class Meta:
        model = Operator
        fields = ["id", "user_id", "email", "name", "role", "is_active", "created_at"]
        read_only_fields = fields


class StaffRoleSerializer(StrictSerializer):
    """As what."""

    role = serializers.ChoiceField(choices=ROLES)


class NewStaffSerializer(StaffRoleSerializer):
    """Whom to put on the staff, and as what."""

    email = serializers.EmailField(max_length=254, help_text="Of an existing account whose person has proved it.")


class OwnPlaceSerializer(StaffSerializer):
    """The caller's own place on the staff."""

    scopes = serializers.SerializerMethodField(help_text="What the token holds that asks.")
    session_id = serializers.SerializerMethodField(help_text="The sign-in that it belongs to.")

    class Meta(StaffSerializer.Meta):
        fields = [*StaffSerializer.Meta.fields, "scopes", "session_id"]
        read_only_fields = fields

    def get_scopes(self, operator: Operator) -> list[str]:
        return sorted(callers.principal_of(self.context["request"]).scopes)

    def get_session_id(self, operator: Operator) -> UUID | None:
        return callers.principal_of(self.context["request"]).session_id


@extend_schema_view(
    list=extend_schema(operation_id="staff_list", summary="List staff", examples=[_EXAMPLE]),
    retrieve=extend_schema(operation_id="staff_retrieve", summary="See a member of staff", examples=[_EXAMPLE]),
)
class StaffViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Operator]):
    """The platform's staff, active and disabled."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_STAFF_READ,
        "retrieve": Scope.PLATFORM_STAFF_READ,
        "create": Scope.PLATFORM_STAFF_WRITE,
        "partial_update": Scope.PLATFORM_STAFF_WRITE,
        "disable": Scope.PLATFORM_STAFF_WRITE,
        "enable": Scope.PLATFORM_STAFF_WRITE,
        "destroy": Scope.PLATFORM_STAFF_WRITE,
    }
    recent_sign_in = {"create", "partial_update", "disable", "enable", "destroy"}
    serializer_class = StaffSerializer
    filterset_fields = ["role", "is_active"]
    search_fields = ["user__email", "user__name"]
    ordering = ["-created_at"]
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[Operator]:
        return selectors.staff()

    @extend_schema(
        operation_id="staff_create",
        summary="Put somebody on the staff",
        request=NewStaffSerializer,
        responses={201: StaffSerializer},
        examples=[
            OpenApiExample("Support", value={"email": "ana@platform.example", "role": "support"}, request_only=True),
            _EXAMPLE,
        ],
    )
    def create(self, request: Request) -> Response:
        """Put the person of an account on the staff. Nobody gives a role with more than their own token holds
        (`scope_not_held`).
        """
        serializer = NewStaffSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        operator = staff.add(
            email=serializer.validated_data["email"],
            role=OperatorRole(serializer.validated_data["role"]),
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(self.get_serializer(operator).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        operation_id="staff_partial_update",
        summary="Change the role of a member of staff",
        request=StaffRoleSerializer,
        responses=StaffSerializer,
        examples=[OpenApiExample("Promote", value={"role": "operator"}, request_only=True), _EXAMPLE],
    )
    def partial_update(self, request: Request, pk: UUID) -> Response:
        """Give a member of staff another role. They are signed out everywhere as staff, and out of every tenant that
        they are looking into. The last active admin stays admin (`last_admin`).
        """
        serializer = StaffRoleSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        operator = staff.change_role(
            operator_id=pk,
            role=OperatorRole(serializer.validated_data["role"]),
            by=callers.caller_id(request),
            held=callers.principal_of(request).scopes,
        )
        return Response(self.get_serializer(operator).data)

    @extend_schema(operation_id="staff_disable", summary="Disable a member of staff", request=None)
    def disable(self, request: Request, pk: UUID) -> Response:
        """Keep a member of staff out until they are enabled: every operator session of theirs, and every look into a
        tenant, ends now. Their account as such is not concerned. Disabling them twice changes nothing.
        """
        operator = staff.disable(operator_id=pk, by=callers.caller_id(request))
        return Response(self.get_serializer(operator).data)

    @extend_schema(operation_id="staff_enable", summary="Enable a member of staff", request=None)
    def enable(self, request: Request, pk: UUID) -> Response:
        """Let a disabled member of staff in again, with the role they have. What was ended stays ended."""
        held = callers.principal_of(request).scopes
        operator = staff.enable(operator_id=pk, by=callers.caller_id(request), held=held)
        return Response(self.get_serializer(operator).data)

    @extend_schema(operation_id="staff_destroy", summary="Take somebody off the staff", responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take a person off the staff, as disabling does and for good. Their account stays."""
        staff.remove(operator_id=pk, by=callers.caller_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class OperatorMeView(APIView):
    """Who is asking."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"GET": Scope.PLATFORM_PROFILE_READ}

    @extend_schema(operation_id="me_retrieve", summary="See who one is", responses=OwnPlaceSerializer)
    def get(self, request: Request) -> Response:
        """The caller's own place on the staff, and what the token holds that asks."""
        operator = selectors.staff_of(callers.caller_id(request))
        return Response(OwnPlaceSerializer(operator, context={"request": request}).data)


class OperatorSessionViewSet(MySessionViewSet):
    """The caller's sign-ins as staff, newest first."""

    authentication_classes = [OperatorAuthentication]
    acts_as_person = False
    api = Api.OPERATOR
    scopes = {
        "list": Scope.PLATFORM_PROFILE_READ,
        "destroy": Scope.PLATFORM_PROFILE_WRITE,
        "destroy_others": Scope.PLATFORM_PROFILE_WRITE,
    }
