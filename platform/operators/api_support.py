"""``/operator/v1/tenants/{id}/support-access``: staff inside a tenant."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.tokens.api import token_response
from identity.tokens.serializers import AccessTokenSerializer, device_of
from operators import services
from operators.backends import OperatorAuthentication
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer


class SupportRequestSerializer(StrictSerializer):
    """Why somebody has to look into a tenant."""

    reason = serializers.CharField(max_length=500, help_text="What for; the tenant may read it.")
    ticket = serializers.CharField(max_length=64, help_text="The case that asks for it.")


class SupportTokenSerializer(AccessTokenSerializer):
    """The token of a support access. There is no refresh token."""

    id = serializers.UUIDField(help_text="The support access, to end it by.")


class SupportViewSet(viewsets.ViewSet):
    """Platform staff inside a tenant."""

    authentication_classes = [OperatorAuthentication]
    scopes = {"create": Scope.PLATFORM_SUPPORT_WRITE, "destroy": Scope.PLATFORM_SUPPORT_WRITE}
    recent_sign_in = {"create"}

    @extend_schema(
        operation_id="support_access_create",
        summary="Look into a tenant",
        request=SupportRequestSerializer,
        responses={201: SupportTokenSerializer},
    )
    def create(self, request: Request, pk: UUID) -> Response:
        """Get a token for a tenant's API: it reads, says in `act` who is there, and is good for an hour. Nothing
        extends it, and it opens no other tenant.
        """
        serializer = SupportRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        access, tokens = services.start_support(
            user_id=callers.caller_id(request),
            tenant_id=pk,
            methods=["pwd"],
            device=device_of(request),
            **serializer.validated_data,
        )
        response = token_response(tokens)
        response.data = {"id": str(access.pk), **response.data}
        response.status_code = status.HTTP_201_CREATED
        return response

    @extend_schema(operation_id="support_access_destroy", summary="End a support access", responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """End a support access: its token is refused from the next request on."""
        services.end_support(access_id=pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
