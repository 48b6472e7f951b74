"""Reading sessions."""

from uuid import UUID

from django.utils import timezone

from identity.sessions.models import Api, Session


def is_live(*, session_id: UUID, user_id: UUID, api: Api) -> bool:
    """Tell whether a session still stands: not ended, not expired, and its person's account is active."""
    return Session.objects.filter(
        pk=session_id, user_id=user_id, api=api, ended_at=None, expires_at__gt=timezone.now(), user__is_active=True
    ).exists()
