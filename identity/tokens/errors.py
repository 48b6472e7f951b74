from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


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
