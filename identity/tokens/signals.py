"""What happens to tokens, for those above. Nobody's answer depends on who listens."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.dispatch import Signal
from rest_framework.exceptions import APIException, ValidationError

# Somebody tried to sign in with a password. Arguments: api, of ``identity.sessions.models.Api``; outcome, "success" or
# the code of the problem that it ended in.
sign_in_tried = Signal()

# An access token was made. Arguments: grant, of ``identity.tokens.minting.Grant``.
token_issued = Signal()


@contextmanager
def told_of_sign_in(api: str) -> Iterator[None]:
    """Say how the sign-in ends that is tried meanwhile."""
    outcome = "error"
    try:
        yield
        outcome = "success"
    except ValidationError:
        outcome = "validation_error"
        raise
    except APIException as error:
        outcome = error.default_code
        raise
    finally:
        sign_in_tried.send_robust(sender=None, api=str(api), outcome=outcome)
