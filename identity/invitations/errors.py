from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class InvalidInvitation(APIException):
    """400: the invitation is unknown, expired, revoked or used, or whoever sent it may not give that role any more."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_invitation"
    default_detail = "This invitation is not valid (any more). Ask for another one."


class InvitedAnother(PermissionDenied):
    """403: an invitation is for the address it was sent to, and for nobody else's account."""

    default_code = "invited_another"
    default_detail = "This invitation was sent to another address than this account's."


class AlreadyInvited(APIException):
    """409: there is a pending invitation for this address: send it again, or revoke it."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "already_invited"
    default_detail = "There is a pending invitation for this address: send it again, or revoke it."


class HasOwner(APIException):
    """409: the platform invites the first owner of a tenant, and nobody else: this one has an owner, who invites."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "has_owner"
    default_detail = "This tenant has an owner, who invites whoever else is to join."


class InvitationOver(APIException):
    """409: the invitation was accepted, revoked or replaced, so there is nothing to send or revoke."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "invitation_over"
    default_detail = "This invitation was accepted, revoked or replaced already."
