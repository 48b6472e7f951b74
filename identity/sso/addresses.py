"""Where providers, and browsers that come from one, find us: at the API's own host, whichever tenant it is about. What
we were begun with (``state``) and each connection's own id say which.
"""

from uuid import UUID

from django.conf import settings


def redirect_uri() -> str:
    """Return where a provider sends people back to."""
    return f"{settings.ISSUER}/auth/sso/callback"


def backchannel_logout_uri(connection_id: UUID) -> str:
    """Return where a provider says that somebody's session there is over."""
    return f"{settings.ISSUER}/auth/sso/{connection_id}/backchannel-logout"


def initiate_login_uri(connection_id: UUID) -> str:
    """Return where a provider's own portal sends people who want to come in."""
    return f"{settings.ISSUER}/auth/sso/{connection_id}/initiate"


def sign_in_page(slug: str) -> str:
    """Return where the front end begins to sign people in to a tenant by its provider."""
    return f"{settings.FRONTEND_URL}/sign-in?sso={slug}"
