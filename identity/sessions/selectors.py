"""Reading sessions."""

from uuid import UUID

from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from identity.accounts.models import normalize_email
from identity.sessions.models import Api, RefreshFamily, Session
from permissions.limits import network_of


def live_sessions() -> QuerySet[Session]:
    """Return every session that still stands: not ended, not expired, and its person's account is active."""
    return Session.objects.filter(ended_at=None, expires_at__gt=timezone.now(), user__is_active=True)


def live_session(*, session_id: UUID, user_id: UUID) -> Session | None:
    """Return a person's session, if it still stands."""
    return live_sessions().filter(pk=session_id, user_id=user_id).first()


def application_of(session_id: UUID) -> UUID | None:
    """Return the third-party application that acts in a session; None in one of ours."""
    return Session.objects.filter(pk=session_id).values_list("application_id", flat=True).first()


def sessions_of(user_id: UUID | None, api: Api) -> QuerySet[Session]:
    """Return where a person is signed in to one API, each with ``last_used_at``.

    A session that has been idle for too long has nothing that could continue it, and is left out.
    """
    if user_id is None:
        return Session.objects.none()
    going_on = RefreshFamily.objects.filter(session=OuterRef("pk"), idle_expires_at__gt=timezone.now())
    rows = live_sessions().filter(user_id=user_id, api=api)
    return rows.filter(Exists(going_on)).annotate(last_used_at=Max("families__rotated_at"))


def has_signed_in_from(*, email: str, address: str) -> bool:
    """Tell whether an account was signed in to from a client's address, or its IPv6 network, lately: for as long as
    sessions are kept. An account that there is not costs the same query.
    """
    network = network_of(address)
    if network is None:
        return False
    first_and_last = (str(network[0]), str(network[-1]))
    return Session.objects.filter(user__email=normalize_email(email), ip_address__range=first_and_last).exists()
