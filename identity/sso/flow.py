"""Signing in by a tenant's own provider: what begins it, and what the provider's answer comes to."""

from dataclasses import asdict
from uuid import UUID

from identity.oidc import attempts, client
from identity.oidc.attempts import Outcome
from identity.oidc.client import Answer
from identity.oidc.errors import InvalidCode
from identity.oidc.models import Attempt
from identity.oidc.providers import Identity, Provider
from identity.sessions.proof import FEDERATED, MULTI_FACTOR, Proof, Way
from identity.sso import admission, secrets, selectors
from identity.sso.addresses import redirect_uri
from identity.sso.admission import Told
from identity.sso.errors import ConnectionClosed
from identity.sso.models import Connection
from identity.tokens.federated import Admitted

SIGN_IN, TRIAL = "sso", "sso_trial"  # kinds of attempts


def provider_of(connection: Connection) -> Provider:
    """Return a connection's provider, with our secret there."""
    wanted = ("email", *filter(None, [connection.groups_claim]))
    return Provider(
        issuer=connection.issuer,
        client_id=connection.client_id,
        client_secret=secrets.opened(connection.client_secret),
        redirect_uri=redirect_uri(),
        scope=connection.scope,
        wanted=wanted,
    )


def begin_sign_in(
    *, connection_id: UUID, return_to: str, code_challenge: str, scope: str = "", login_hint: str = ""
) -> str:
    """Begin to sign somebody in, and return where their browser goes.

    Raises:
        ProviderUnreachable: the provider does not say where that is.
    """
    connection = selectors.connection_to_use(connection_id)
    attempt = attempts.begin(
        kind=SIGN_IN,
        provider_key=str(connection_id),
        tenant_id=connection.tenant_id,
        return_to=return_to,
        code_challenge=code_challenge,
        extra={"scope": scope},
    )
    return client.authorization_url(provider_of(connection), attempt, login_hint=login_hint)


def begin_trial(*, connection: Connection, by: UUID, return_to: str, code_challenge: str) -> str:
    """Begin to try a connection as it is now, and return where the browser goes; raises as ``begin_sign_in``."""
    attempt = attempts.begin(
        kind=TRIAL,
        provider_key=str(connection.pk),
        tenant_id=connection.tenant_id,
        user_id=by,
        return_to=return_to,
        code_challenge=code_challenge,
        extra={"as_of": connection.updated_at.isoformat()},
    )
    return client.authorization_url(provider_of(connection), attempt, prompt="login")


def identify(attempt: Attempt, answer: Answer) -> tuple[Connection, Identity]:
    """Return who came, as the provider of the attempt's connection says.

    Raises:
        ConnectionClosed: the connection is gone, or was disabled meanwhile.
        ProviderRefused, UntrustedIdentity, ProviderUnreachable: see ``client.identify``.
    """
    try:
        connection = selectors.connection_to_use(UUID(attempt.provider_key))
    except Connection.DoesNotExist:
        raise ConnectionClosed from None
    is_open = connection.is_enabled or attempt.kind == TRIAL
    if connection.tenant_id != attempt.tenant_id or not is_open:
        raise ConnectionClosed
    return connection, client.identify(provider_of(connection), attempt, answer)


def admit(outcome: Outcome) -> Admitted:
    """Let somebody in to the tenant of the connection whose provider vouches for them, and to no other. Raises as
    ``admission.admit``.
    """
    told = Told(**outcome.content)
    connection_id = UUID(outcome.provider_key)
    member = admission.admit(connection_id=connection_id, told=told)
    if member.tenant_id != outcome.tenant_id:
        raise InvalidCode
    methods = (FEDERATED, MULTI_FACTOR) if told.has_second_factor else (FEDERATED,)
    proof = Proof(
        way=Way.SSO,
        methods=methods,
        connection_id=connection_id,
        only_tenant_id=member.tenant_id,
        provider_session=told.sid,
    )
    slug = selectors.connection_to_use(connection_id).tenant.slug
    return Admitted(user=member.user, proof=proof, slug=slug, scope=outcome.extra["scope"])


def to_json(told: Told) -> dict[str, object]:
    """Return what an attempt keeps of what was told."""
    return asdict(told)
