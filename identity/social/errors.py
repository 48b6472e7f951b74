from rest_framework import status
from rest_framework.exceptions import APIException, NotFound, PermissionDenied


class UnknownProvider(NotFound):
    """404: nobody signs in by a provider of this name here."""

    default_code = "unknown_provider"
    default_detail = "Nobody signs in by a provider of this name here."


class LinkNeeded(PermissionDenied):
    """403: the identity is linked to no account, and its address has one: sign in to that in another way, and link the
    identity from there (`/api/v1/me/identities`). An address alone opens no account.
    """

    default_code = "link_needed"
    default_detail = "The address has an account: sign in to it in another way first, and link this identity there."


class AddressUnverified(PermissionDenied):
    """403: the identity is linked to no account, and the provider does not vouch for an address that a new one could
    have: register with an address and a password first, and link the identity from there.
    """

    default_code = "address_unverified"
    default_detail = "The provider does not vouch for an address. Register first, and link this identity then."


class IdentityTaken(APIException):
    """409: the identity is linked to another account."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "identity_taken"
    default_detail = "This identity is linked to another account."


class LastWayIn(APIException):
    """409: without this identity, nothing would open the account: choose a password, add a passkey or link another
    identity first.
    """

    status_code = status.HTTP_409_CONFLICT
    default_code = "last_way_in"
    default_detail = "Nothing else opens your account: choose a password, add a passkey or link another identity first."


class TooManyIdentities(APIException):
    """409: an account is linked to at most ten identities."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_identities"
    default_detail = "Your account is linked to ten identities already: unlink one that you do not use."


class AddressUnconfirmed(PermissionDenied):
    """403: an account is linked to identities when its person has confirmed its address: until then it may be a
    stranger's claim, who would keep a way in.
    """

    default_code = "address_unconfirmed"
    default_detail = "Confirm your e-mail address first."
