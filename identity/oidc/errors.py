from rest_framework import status
from rest_framework.exceptions import APIException


class ProviderUnreachable(APIException):
    """502: the identity provider does not answer, not in time, or not with what a provider answers."""

    status_code = status.HTTP_502_BAD_GATEWAY
    default_code = "provider_unreachable"
    default_detail = "The identity provider does not answer as it should. Try again later."


class ProviderRefused(APIException):
    """400: the identity provider has not signed the person in: they were refused, have changed their mind, or took too
    long.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "provider_refused"
    default_detail = "The identity provider has not signed you in."


class UntrustedIdentity(APIException):
    """400: what the identity provider says about the person cannot be believed: it is not signed by its keys, is meant
    for somebody else, or belongs to another sign-in.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "untrusted_identity"
    default_detail = "What came from the identity provider cannot be believed."


class UnknownAttempt(APIException):
    """400: no sign-in by an identity provider waits for this answer: it took too long, or was answered already."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "unknown_attempt"
    default_detail = "No sign-in waits for this. Begin again."


class InvalidCode(APIException):
    """400: the one-time code of a sign-in by an identity provider is unknown, was used or is too old, or
    `code_verifier` is not the one of `code_challenge`.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_code"
    default_detail = "The code is not good here, or not any more. Begin again."
