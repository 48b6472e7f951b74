"""How a refusal reaches the client: exceptions that DRF turns into problem details."""

from collections.abc import Iterable, Mapping

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, PermissionDenied

from permissions import scopes
from permissions.policy import Reason


class InsufficientScope(PermissionDenied):
    """403: the token is good, but does not carry every scope that is needed (RFC 6750 section 3.1)."""

    default_code = Reason.INSUFFICIENT_SCOPE

    def __init__(self, missing: frozenset[str]) -> None:
        self.scope = " ".join(sorted(missing))
        super().__init__(f"This needs a token with the scope {self.scope!r}.")


class InsufficientAuthentication(APIException):
    """401: this needs a more recent proof of who is calling, or one with a second factor: step up, or sign in again.
    The challenge says which, in max_age or acr_values (RFC 9470 section 3).

    Attributes:
        challenge: what the WWW-Authenticate header asks for.
    """

    status_code = status.HTTP_401_UNAUTHORIZED
    default_code = Reason.SIGN_IN_TOO_OLD
    challenge: Mapping[str, str] = {}


class SignInTooOld(InsufficientAuthentication):
    """401: the proof of who is calling is too old."""

    def __init__(self) -> None:
        max_age = int(settings.STEP_UP_MAX_AGE.total_seconds())
        self.challenge = {"max_age": str(max_age)}
        super().__init__(f"This needs a sign-in that is at most {max_age} seconds old: step up, or sign in again.")


class ScopeNotHeld(PermissionDenied):
    """403: nobody gives away, to a person, a role or a client, a scope that their own token does not hold."""

    default_code = "scope_not_held"

    def __init__(self, missing: frozenset[str]) -> None:
        super().__init__(f"Your own token does not hold: {' '.join(sorted(missing))}.")


def refuse_more_than(held: frozenset[str], wanted: Iterable[str]) -> None:
    """Refuse to give away scopes that the giver's own token does not hold.

    Raises:
        ScopeNotHeld: it lacks one.
    """
    missing = scopes.missing(held, wanted)
    if missing:
        raise ScopeNotHeld(missing)
