"""Reading staff."""

from uuid import UUID

from operators.models import Operator


def active_operator(user_id: UUID) -> Operator | None:
    """Return a person's place on the staff, if they have one and it is active."""
    return Operator.objects.filter(user_id=user_id, is_active=True).first()
