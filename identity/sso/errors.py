from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class TooManyConnections(APIException):
    """409: a tenant has a bounded number of connections to providers of its own."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_connections"
    default_detail = "This tenant has as many connections as there can be: delete one that is not used."


class ConnectionNotTested(APIException):
    """409: a connection is enabled after somebody has signed in by it on trial, with the settings that it has now."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "connection_not_tested"
    default_detail = "Sign in by this connection on trial first: see the checks of its test."


class SsoRequired(APIException):
    """409: the sign-in policy lets people in by single sign-on alone, and this is the last connection for it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "sso_required"
    default_detail = "The sign-in policy asks for single sign-on, and this is the last connection: change it first."


class SsoUnavailable(APIException):
    """409: a tenant that asks its members for single sign-on alone has an enabled connection."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "sso_unavailable"
    default_detail = "Enable a connection to your own provider first."


class OwnerBySso(APIException):
    """400: no provider makes owners."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "owner_by_sso"
    default_detail = "No provider makes owners: an owner makes another one."


class NoConnection(APIException):
    """404: there is no single sign-on here: no tenant has proved the address's domain, or it has no such connection."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "no_connection"
    default_detail = "There is no single sign-on for this."


class ForeignIdentity(PermissionDenied):
    """403: a tenant's provider vouches for addresses at domains that the tenant has proved, and for no others."""

    default_code = "foreign_identity"
    default_detail = "The address is at no domain that this tenant has proved."


class AddressNotVouchedFor(PermissionDenied):
    """403: the provider sent no address, or does not say that it is verified (``email_verified``)."""

    default_code = "address_not_vouched_for"
    default_detail = "The provider does not vouch for an address of this person."


class IdentityMismatch(PermissionDenied):
    """403: the account of this address belongs to somebody else at the provider, who signed in before: an administrator
    removes that link.
    """

    default_code = "identity_mismatch"
    default_detail = "The account of this address is linked to another identity at the provider."


class NotAdmitted(PermissionDenied):
    """403: the provider vouches for this person, and the tenant does not have them: they are no member, suspended or
    removed.
    """

    default_code = "not_admitted"
    default_detail = "This person has no active place in the tenant: an administrator gives one."


class OwnersNotAdmitted(PermissionDenied):
    """403: owners come in by a connection where an owner has allowed it (`admits_owners`), and else by themselves."""

    default_code = "owners_not_admitted"
    default_detail = "Owners do not come in by this connection: an owner may allow it."


class ConnectionClosed(PermissionDenied):
    """403: the connection that vouched for the person was disabled, or their domain is the tenant's no longer."""

    default_code = "connection_closed"
    default_detail = "This way to sign in was closed meanwhile."


class InvalidLogoutToken(APIException):
    """400: the logout token is none of this provider's for this connection, is too old, or was used."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_logout_token"
    default_detail = "This is no logout token that is good here."
