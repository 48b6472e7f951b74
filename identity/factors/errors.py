"""Refusals about second factors."""

from rest_framework import serializers, status
from rest_framework.exceptions import APIException, PermissionDenied, Throttled

from permissions.errors import InsufficientAuthentication


class InvalidFactor(APIException):
    """401: the code, the recovery code or the passkey is wrong or was used, or what it answers is over or unknown;
    which of them is not told.
    """

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_factor"
    default_detail = "This is wrong, was used already, or came too late. Try again, or begin anew."


class TooManyTries(Throttled):
    """429: too many codes were tried for this account; the Retry-After header says when the next one is looked at."""

    default_code = "too_many_tries"
    default_detail = "Too many codes were tried for this account. A recovery code or a passkey still opens it."

    def __init__(self, seconds: float) -> None:
        super().__init__(wait=seconds)


class ProveSecondFactor(InsufficientAuthentication):
    """401: who has second factors changes them in a sign-in with one: refresh the token, step up, or sign in again."""

    default_detail = "This needs a sign-in with a second factor: refresh the token, step up, or sign in again."
    challenge = {"acr_values": "mfa"}


class AddressNotProved(PermissionDenied):
    """403: second factors are for accounts whose person has confirmed their e-mail address."""

    default_code = "address_not_proved"
    default_detail = "Confirm your e-mail address first."


class NoSecondFactor(APIException):
    """409: recovery codes stand in for other second factors, and this account has none."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "no_second_factor"
    default_detail = "Add an app or a passkey first: recovery codes stand in for them."


class TooManyFactors(APIException):
    """409: an account has at most twenty second factors."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_factors"
    default_detail = "This account has twenty second factors already: remove one first."


def wrong(field: str) -> serializers.ValidationError:
    """Return the error of a factor that proves nothing: 400, because the token itself is good."""
    message = serializers.ErrorDetail("This is wrong, was used already, or came too late.", code="wrong_factor")
    return serializers.ValidationError({field: [message]})
