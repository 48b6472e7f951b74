"""``/api/v1/tenant/sign-in-policy``: what the tenant asks of its members' sign-ins."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.sessions.proof import Way
from identity.tokens import policy
from identity.tokens.api import signed_in
from permissions import callers
from permissions.scopes import Scope
from permissions.serializers import StrictSerializer
from tenants.registry import selectors as registry
from tenants.registry.sign_in_policy import MOST_BREAK_GLASS, MOST_HOURS, MOST_RANGES, SignInPolicy


class SignInPolicySerializer(StrictSerializer):
    """What every sign-in of a member is held to, whenever it gets or renews tokens for the tenant."""

    require_second_factor = serializers.BooleanField(
        required=False, help_text="Whether two factors must have been proved: a password and a code, or a passkey."
    )
    ways = serializers.ListField(
        child=serializers.ChoiceField(choices=Way.choices),
        required=False,
        max_length=len(Way),
        help_text="By which ways one may come in; none named: by any.",
    )
    max_session_hours = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_HOURS,
        help_text="After how many hours one proves anew who one is; null: as long as the platform lets sessions live.",
    )
    address_ranges = serializers.ListField(
        child=serializers.CharField(max_length=60),
        required=False,
        max_length=MOST_RANGES,
        help_text="Where one may come from, in CIDR notation (IPv4 and IPv6); none named: from anywhere.",
    )
    break_glass = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        max_length=MOST_BREAK_GLASS,
        help_text="Accounts (`user_id`) of owners who may come in by any way, with two factors always, should the "
        "others fail. The audit trail tells of each use.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Give each value the type that it has in the policy."""
        types: dict[str, Any] = {"ways": frozenset, "break_glass": frozenset, "address_ranges": tuple}
        return {name: types[name](value) if name in types else value for name, value in attrs.items()}


class SignInPolicyView(APIView):
    """What the tenant asks of its members' sign-ins. It reads sessions and factors, which no tenant reaches: so it
    works from outside.
    """

    enters_tenant = False
    scopes = {"GET": Scope.SIGN_IN_POLICY_READ, "PATCH": Scope.SIGN_IN_POLICY_WRITE}
    recent_sign_in: ClassVar[set[str]] = {"PATCH"}

    @extend_schema(
        operation_id="sign_in_policy_retrieve", summary="See the sign-in policy", responses=SignInPolicySerializer
    )
    def get(self, request: Request) -> Response:
        """What every sign-in of a member is held to."""
        return self._answer(registry.sign_in_policy(callers.tenant_id(request)))

    @extend_schema(
        operation_id="sign_in_policy_update",
        summary="Change the sign-in policy",
        request=SignInPolicySerializer,
        responses=SignInPolicySerializer,
        examples=[
            OpenApiExample(
                "A second factor, every working day",
                value={"require_second_factor": True, "max_session_hours": 10},
                request_only=True,
            )
        ],
    )
    def patch(self, request: Request) -> Response:
        """Change what is named; a list replaces the one there was. What asks more than before holds at once: every
        member's access token is refused on its next request, and refreshing it gives `insufficient_user_authentication`
        (sign in with a second factor), `sign_in_expired`, `way_not_allowed` or `address_not_allowed` where the policy
        is not met.

        Your own session has to meet it (`would_lock_out`). Only owners name `break_glass` accounts, or leave `sso` as
        the only way; for that, an owner with a second factor is named in `break_glass`.
        """
        serializer = SignInPolicySerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        changed = policy.change(
            tenant_id=callers.tenant_id(request), changes=serializer.validated_data, caller=signed_in(request)
        )
        return self._answer(changed)

    def _answer(self, found: SignInPolicy) -> Response:
        names = ("require_second_factor", "ways", "max_session_hours", "address_ranges", "break_glass")
        values = {name: getattr(found, name) for name in names}
        shown = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()}
        return Response(SignInPolicySerializer(shown).data)
