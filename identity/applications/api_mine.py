"""``/api/v1/me/authorized-applications``: what one has let act for oneself."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.applications import consents, selectors
from identity.applications.models import Consent
from permissions import callers
from permissions.scopes import Scope


class AuthorizedApplicationSerializer(serializers.ModelSerializer[Consent]):
    """An application that acts for one, and what it was let do."""

    id = serializers.UUIDField(source="application_id", help_text="The application's.")
    name = serializers.CharField(source="application.name")
    homepage_url = serializers.CharField(source="application.homepage_url")
    logo_url = serializers.CharField(source="application.logo_url")
    tenant = serializers.CharField(source="tenant.slug", help_text="Slug of the tenant in which it acts for one.")
    scopes = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Consent
        fields = ["id", "name", "homepage_url", "logo_url", "tenant", "scopes", "given_at"]
        read_only_fields = fields


@extend_schema_view(
    list=extend_schema(operation_id="me_authorized_applications_list", summary="List the applications one has let in")
)
class AuthorizedApplicationViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[Consent]):
    """The third-party applications that act for the caller, in whichever tenants."""

    enters_tenant = False
    scopes = {"list": Scope.SESSIONS_READ, "destroy": Scope.SESSIONS_WRITE}
    serializer_class = AuthorizedApplicationSerializer
    ordering = ["-given_at"]
    ordering_fields = ["given_at"]

    def get_queryset(self) -> QuerySet[Consent]:
        return selectors.consents_of(callers.principal_of(self.request).id)

    @extend_schema(operation_id="me_authorized_applications_destroy", summary="Let an application in no longer")
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Take back what one has let an application do: all its tokens for one are refused from their next request on,
        and it has to ask anew.
        """
        consents.withdraw(application_id=pk, user_id=callers.caller_id(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
