"""Signing in by what an identity provider says. Which kinds of that there are, and whom they let in, is for those above
to say.
"""

from collections.abc import Callable
from dataclasses import dataclass

from identity.accounts.models import User
from identity.oidc import attempts
from identity.oidc.attempts import Outcome
from identity.sessions.proof import Proof
from identity.sessions.services import Device
from identity.tokens import services
from identity.tokens.minting import IssuedTokens
from tenants.context.entry import TenantRef


@dataclass(frozen=True)
class Admitted:
    """Whom a kind of sign-in lets in, and where to.

    Attributes:
        slug: of the tenant to enter; None for that of the host, or the one used last.
    """

    user: User
    proof: Proof
    slug: str | None = None
    scope: str = ""


# Gets what came of an attempt, and raises an APIException where that lets nobody in.
Handler = Callable[[Outcome], Admitted]

_handlers: dict[str, Handler] = {}


def register(kind: str, handler: Handler) -> None:
    """Declare a kind of sign-in; call it from an app's ``ready()``.

    Args:
        kind: of its attempts; see ``identity.oidc.models.Attempt``.

    Raises:
        ValueError: the kind has another handler.
    """
    if _handlers.get(kind, handler) is not handler:
        raise ValueError(f"There is a kind of sign-in {kind!r} already.")
    _handlers[kind] = handler


def sign_in(*, code: str, code_verifier: str, host_tenant: TenantRef | None, device: Device) -> IssuedTokens:
    """Sign in whoever began an attempt, by what came of it.

    Raises:
        InvalidCode: nothing came of it, or it is somebody else's.
        APIException: its kind lets nobody in for it, see there; or as ``services.sign_in``.
    """
    outcome = attempts.take(code=code, code_verifier=code_verifier, kinds=_handlers)
    admitted = _handlers[outcome.kind](outcome)
    return services.sign_in(
        user=admitted.user,
        host_tenant=host_tenant,
        slug=admitted.slug,
        scope=admitted.scope,
        proof=admitted.proof,
        device=device,
    )
