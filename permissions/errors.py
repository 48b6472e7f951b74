"""How a refusal reaches the client: exceptions that DRF turns into problem details."""

from rest_framework.exceptions import PermissionDenied

from permissions.policy import Reason


class InsufficientScope(PermissionDenied):
    """403: the token is good, but does not carry every scope that is needed (RFC 6750 section 3.1)."""

    default_code = Reason.INSUFFICIENT_SCOPE

    def __init__(self, missing: frozenset[str]) -> None:
        self.scope = " ".join(sorted(missing))
        super().__init__(f"This needs a token with the scope {self.scope!r}.")
