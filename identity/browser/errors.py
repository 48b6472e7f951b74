import re

from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied

_CODE = re.compile(r"[a-z_]{1,40}", re.ASCII)


class CsrfFailed(PermissionDenied):
    """403: the request comes with a session's cookie, but without the CSRF token of its page (`X-CSRFToken`), or from
    another site.
    """

    default_code = "csrf_failed"
    default_detail = "This was not sent from a page of this site, or the page is too old. Load it again, and retry."


class NoSuchWay(APIException):
    """400: there is no such provider to sign in by, here and now."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "no_such_way"
    default_detail = "You cannot sign in by that provider here."


class NotSignedInThere(APIException):
    """401: the provider sent the browser back with nothing, or to a browser that had not begun to sign in."""

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = "not_signed_in_there"
    default_detail = "Signing in by the provider came to nothing. Try again."

    def __init__(self, why: str = "") -> None:
        # The reason is in a URL, which anybody may have written: only what looks like a code is repeated.
        told = f" ({why})" if _CODE.fullmatch(why) else ""
        super().__init__(f"{self.default_detail}{told}")
