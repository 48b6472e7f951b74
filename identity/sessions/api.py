"""``/api/v1/me/sessions``: where one is signed in."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.sessions import selectors, services
from identity.sessions.models import Api, Session
from permissions import callers
from permissions.scopes import Scope


class SessionSerializer(serializers.ModelSerializer[Session]):
    """A sign-in, for its person to recognize."""

    is_current = serializers.SerializerMethodField(help_text="It is the one that asks.")
    methods = serializers.ListField(
        child=serializers.CharField(), help_text="How one proved who one is: RFC 8176 names, such as `pwd`."
    )
    last_used_at = serializers.DateTimeField(help_text="When tokens were last issued.")
    application_id = serializers.UUIDField(
        allow_null=True, help_text="The third-party application that acts for one here; null where one does so oneself."
    )

    class Meta:
        model = Session
        fields = [
            "id",
            "is_current",
            "ip_address",
            "user_agent",
            "application_id",
            "methods",
            "authenticated_at",
            "last_used_at",
            "expires_at",
        ]
        read_only_fields = fields

    def get_is_current(self, session: Session) -> bool:
        return session.pk == callers.principal_of(self.context["request"]).session_id


@extend_schema_view(list=extend_schema(operation_id="me_sessions_list", summary="List one's sessions"))
class MySessionViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Session]):
    """The sign-ins of the caller, newest first, in whichever tenants they are used."""

    enters_tenant = False
    acts_as_person = True
    api = Api.TENANT
    scopes = {
        "list": Scope.SESSIONS_READ,
        "destroy": Scope.SESSIONS_WRITE,
        "destroy_others": Scope.SESSIONS_WRITE,
    }
    serializer_class = SessionSerializer
    ordering = ["-authenticated_at"]
    ordering_fields = ["authenticated_at"]

    def get_queryset(self) -> QuerySet[Session]:
        return selectors.sessions_of(callers.principal_of(self.request).id, self.api)

    @extend_schema(operation_id="me_sessions_destroy", summary="End a session")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End one of one's own sessions: all its tokens are refused from their next request on."""
        services.end_session_of(user_id=callers.caller_id(request), session_id=pk, api=self.api)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="me_sessions_destroy_others", summary="End all other sessions")
    def destroy_others(self, request: Request) -> Response:
        """End every session of one's own but this one."""
        keep = callers.principal_of(request).session_id
        services.end_other_sessions(user_id=callers.caller_id(request), keep=keep, api=self.api)
        return Response(status=status.HTTP_204_NO_CONTENT)
