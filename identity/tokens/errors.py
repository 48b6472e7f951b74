from collections.abc import Iterable
from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied

from permissions.errors import InsufficientAuthentication


class InvalidToken(APIException):
    """401: the token is no good here: malformed, expired, revoked, of another API (RFC 6750, ``invalid_token``)."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_token"
    default_detail = "The token is not valid here. Refresh it, or sign in again."


class InvalidCredentials(APIException):
    """401: wrong address, wrong password, or an address that is not confirmed yet; which of them is not told."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_credentials"
    default_detail = "The address and the password do not belong together, or the address is not confirmed yet."


class InvalidRequest(APIException):
    """400: the Authorization header is not what RFC 6750 section 2.1 says."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_request"
    default_detail = "Send one token: `Authorization: Bearer <token>`."


class InvalidScope(APIException):
    """400: none of the requested scopes can be had."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_scope"
    default_detail = "This account can have none of the requested scopes here."


class SessionOfOneTenant(PermissionDenied):
    """403: this sign-in is good for one tenant alone, which vouches for the person: sign in to the other one itself."""

    default_code = "session_of_one_tenant"
    default_detail = "This sign-in is good for its own tenant alone. Sign in to the other one itself."


class SecondFactorRequired(InsufficientAuthentication):
    """401: the tenant's sign-in policy asks for a second factor."""

    default_detail = "This tenant asks for a second factor: sign in, or prove who you are again, with one."
    challenge = {"acr_values": "mfa"}


class SecondFactorAwaited(APIException):
    """401: what was proved is right, and a second factor is needed too: answer the member challenge with it. The member
    methods says by what; where it is empty, enroll says what can be set up with the challenge now.

    Attributes:
        members: what the problem says besides; ``challenge`` is missing where the caller has a session to prove it in.
    """

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "second_factor_required"
    default_detail = "A second factor is needed too."

    def __init__(self, **members: Any) -> None:
        self.members = members
        super().__init__()


class SignInExpired(APIException):
    """401: this sign-in is older than the tenant's sign-in policy allows: sign in again."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "sign_in_expired"
    default_detail = "This sign-in is older than the tenant allows. Sign in again."


class WayNotAllowed(PermissionDenied):
    """403: the tenant's sign-in policy does not allow this way of signing in; the member ways names those it does."""

    default_code = "way_not_allowed"
    default_detail = "This tenant does not allow this way of signing in."

    def __init__(self, allowed: Iterable[str]) -> None:
        self.members = {"ways": sorted(allowed)}
        super().__init__()


class AddressNotAllowed(PermissionDenied):
    """403: the tenant's sign-in policy does not allow the address that the request comes from."""

    default_code = "address_not_allowed"
    default_detail = "This tenant cannot be entered from your address."


# What a tenant's sign-in policy is refused with; see ``requirements.refuse_unmet``.
POLICY_UNMET = (SecondFactorRequired, SignInExpired, WayNotAllowed, AddressNotAllowed)


class OwnersDecide(PermissionDenied):
    """403: only an owner says who may get past the tenant's sign-in policy, or that its provider is the only way in."""

    default_code = "owners_decide"
    default_detail = (
        "Only an owner names those who may break the glass, or makes the tenant's provider the only way in."
    )


class BreakGlassRequired(APIException):
    """409: where a tenant's own provider is the only way in, an active owner with a second factor is named in
    `break_glass`: should the provider fail, nobody else can mend it.
    """

    status_code = status.HTTP_409_CONFLICT
    default_code = "break_glass_required"
    default_detail = "Name an owner who has a second factor in `break_glass` first: somebody must get in if it fails."


class WouldLockOut(APIException):
    """409: the caller's own session does not meet the sign-in policy they ask for; the member reason is the code that
    it would be refused with.
    """

    status_code = status.HTTP_409_CONFLICT
    default_code = "would_lock_out"

    def __init__(self, refusal: APIException) -> None:
        self.members = {"reason": str(refusal.default_code)}
        super().__init__(f"You would lock yourself out. {refusal.detail}")
