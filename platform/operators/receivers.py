"""What the staff's side does about what happens below it."""

from typing import Any
from uuid import UUID

from operators import selectors
from operators.errors import LastAdmin, StaffAccount
from permissions.roles import OperatorRole


def refuse_staff(*, user_id: UUID, **signal: Any) -> None:
    """Keep the account of whoever is on the staff.

    Raises:
        StaffAccount: they are.
    """
    if selectors.active_operator(user_id) is not None:
        raise StaffAccount


def keep_an_admin(*, user_id: UUID, **signal: Any) -> None:
    """Keep the account of the last active admin open.

    Raises:
        LastAdmin: it is theirs.
    """
    operator = selectors.active_operator(user_id)
    if operator is not None and operator.role == OperatorRole.ADMIN and not selectors.active_admins().exists():
        raise LastAdmin
