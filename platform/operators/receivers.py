"""What the staff's side does about what happens below it."""

from typing import Any
from uuid import UUID

from operators import selectors
from operators.errors import StaffAccount


def refuse_staff(*, user_id: UUID, **signal: Any) -> None:
    """Keep the account of whoever is on the staff.

    Raises:
        StaffAccount: they are.
    """
    if selectors.active_operator(user_id) is not None:
        raise StaffAccount
