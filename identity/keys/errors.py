from rest_framework import status
from rest_framework.exceptions import APIException


class KeysNotInDatabase(APIException):
    """409: the signing keys come from the environment or a file, and are changed there."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "keys_not_in_database"
    default_detail = "The signing keys come from the environment or a file: change them there."


class KeyInUse(APIException):
    """409: the key signs now; another one has to sign before it can be retired."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "key_in_use"
    default_detail = "This key signs now: rotate first, then retire it."
