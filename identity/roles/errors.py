from rest_framework import status
from rest_framework.exceptions import APIException


class RoleInUse(APIException):
    """409: members, pending invitations or domains give the role: say with `reassign_to` which one they get instead."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "role_in_use"
    default_detail = "Members, invitations or domains have this role: name the one they get instead in `reassign_to`."


class RoleNameTaken(APIException):
    """409: the tenant has a role of this name."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "role_name_taken"
    default_detail = "The tenant has a role of this name."


class TooManyRoles(APIException):
    """409: a tenant composes a bounded number of roles."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_roles"
    default_detail = "This tenant has as many roles as there can be: delete one that is not used."
