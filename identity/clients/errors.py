from rest_framework import status
from rest_framework.exceptions import APIException


class ClientLimit(APIException):
    """409: the tenant has as many machine clients as its plan allows: delete one first, or get a larger plan."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "client_limit"
    default_detail = "This tenant has as many machine clients as its plan allows."


class TooManySecrets(APIException):
    """409: a client has at most two live secrets."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "too_many_secrets"
    default_detail = "This client has two live secrets already: delete the one that is no longer used."
