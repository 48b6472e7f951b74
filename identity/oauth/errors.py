"""Errors of RFC 6749 section 5.2 and RFC 8693 section 2.2.2, beside those of ``identity.tokens``; and those of
authorization requests that must not lead anywhere (RFC 6749 section 4.1.2.1).
"""

from rest_framework import status
from rest_framework.exceptions import APIException


class InvalidClient(APIException):
    """401: the client is unknown, its secret is wrong or expired, or it did not say who it is."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "invalid_client"
    default_detail = "This needs the id and the secret of a client or an application that is active here."


class InvalidGrant(APIException):
    """400: the code or the refresh token is spent, expired, revoked, or meant for another application or another host,
    or its tenant is closed.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_grant"
    default_detail = "The refresh token is not valid here (any more)."


class UnauthorizedClient(APIException):
    """400: this client may not do that: machine clients have no refresh tokens, applications act for people alone, and
    each of them revokes its own tokens.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "unauthorized_client"
    default_detail = "This client may not use this grant."


class UnsupportedGrantType(APIException):
    """400: there is no such grant here; the authorization server's metadata lists those that there are."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "unsupported_grant_type"
    default_detail = "Use authorization_code, client_credentials, refresh_token, or token exchange."


class InvalidTarget(APIException):
    """400: the tenant to enter does not exist, is closed, or the person has no place in it."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_target"
    default_detail = "Name one of the person's tenants by its slug, as `audience`."


class UnknownApplication(APIException):
    """400: a person was sent here by no application that is active in this tenant, so they are sent nowhere."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "unknown_application"
    default_detail = "The application that sent you here is not known, or has been switched off."


class RedirectNotRegistered(APIException):
    """400: an application sent a person here with a redirect URI that it has not registered, so they are sent nowhere.
    It has to be one of the registered ones, character by character.
    """

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "redirect_not_registered"
    default_detail = "The application that sent you here wants you sent on to an address that is not its own."
