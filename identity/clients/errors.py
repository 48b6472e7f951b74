from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied


class ScopeNotHeld(PermissionDenied):
    """403: nobody gives a client a scope that their own token does not hold, nor a secret to one that has more."""

    default_code = "scope_not_held"

    def __init__(self, missing: frozenset[str]) -> None:
        super().__init__(f"Your own token does not hold: {' '.join(sorted(missing))}.")


class TooManySecrets(APIException):
    """409: a client has at most two live secrets."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_secrets"
    default_detail = "This client has two live secrets already: delete the one that is no longer used."
