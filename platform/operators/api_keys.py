"""``/operator/v1/keys``: the keys that sign access tokens."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from identity.keys import selectors, services
from identity.keys.models import StoredKey
from identity.keys.ring import KeyState
from operators.backends import OperatorAuthentication
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer


class KeySerializer(serializers.ModelSerializer[StoredKey]):
    """A signing key; what is private of it is shown to nobody."""

    state = serializers.ChoiceField(choices=[(state.value, state.value) for state in KeyState])

    class Meta:
        model = StoredKey
        fields = ["kid", "algorithm", "state", "created_at", "activates_at", "retired_at"]
        read_only_fields = fields


class RotationSerializer(StrictSerializer):
    """How to rotate."""

    immediately = serializers.BooleanField(
        default=False,
        help_text="Let the new key sign at once, because the present one is in wrong hands: verifiers that keep a copy "
        "of our keys refuse its tokens until they look again.",
    )


class KeyViewSet(viewsets.ViewSet):
    """The keys that sign access tokens."""

    authentication_classes = [OperatorAuthentication]
    scopes = {
        "list": Scope.PLATFORM_KEYS_READ,
        "rotate": Scope.PLATFORM_KEYS_WRITE,
        "retire": Scope.PLATFORM_KEYS_WRITE,
    }
    recent_sign_in = {"rotate", "retire"}

    @extend_schema(operation_id="keys_list", summary="List signing keys", responses=KeySerializer(many=True))
    def list(self, request: Request) -> Response:
        """Every key in the database, the newest first. Keys that come from the environment or a file are not here."""
        return Response(_described())

    @extend_schema(
        operation_id="keys_rotate",
        summary="Rotate the signing key",
        request=RotationSerializer,
        responses=KeySerializer(many=True),
    )
    def rotate(self, request: Request) -> Response:
        """Make the next key. It is published at once and signs when everybody can know it; the present one stays until
        its last token is dead. Running processes follow. Asking again while a key is waiting changes nothing.
        """
        serializer = RotationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        services.rotate(immediately=serializer.validated_data["immediately"])
        return Response(_described())

    @extend_schema(
        operation_id="keys_retire", summary="Retire a signing key", request=None, responses=KeySerializer(many=True)
    )
    def retire(self, request: Request, kid: str) -> Response:
        """Take a key out of use: tokens that it signed are refused from their next request on, on every process."""
        services.retire(kid=kid)
        return Response(_described())


def _described() -> Any:
    rows = []
    for row, state in selectors.stored_keys():
        row.state = state  # type: ignore[attr-defined]  # what a key's row does not know: its place among the others
        rows.append(row)
    return KeySerializer(rows, many=True).data
