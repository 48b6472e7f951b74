"""What a provider says about the end of its own sessions (OpenID Connect Back-Channel Logout 1.0)."""

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from django.db import transaction

from identity.oidc.providers import LogoutToken
from identity.sessions import services as sessions
from identity.sessions.models import EndReason
from identity.sso.errors import InvalidLogoutToken
from identity.sso.models import MemberIdentity, SpentLogout


@transaction.atomic
def end_sessions(*, connection_id: UUID, token: LogoutToken) -> int:
    """End the sessions here that a (verified) logout token is about, and return how many there were: those that began
    in one session over there (``sid``), of one person (``sub``), or both.

    Raises:
        InvalidLogoutToken: the token was used before.
    """
    digest = hashlib.sha256(f"{connection_id} {token.jti}".encode()).digest()
    expires_at = datetime.fromtimestamp(token.expires_at, UTC)
    _, is_new = SpentLogout.objects.get_or_create(digest=digest, defaults={"expires_at": expires_at})
    if not is_new:
        raise InvalidLogoutToken
    people = None
    if token.subject:
        rows = MemberIdentity.objects.filter(connection_id=connection_id, subject=token.subject)
        people = list(rows.values_list("membership__user_id", flat=True))
    return sessions.end_sessions_by(
        connections=[connection_id],
        users=people,
        provider_session=token.sid or "",
        reason=EndReason.ENDED_BY_PROVIDER,
    )
