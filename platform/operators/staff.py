"""Who is on the platform's staff: every function is one transaction.

Whoever changes the staff holds the rows of its admins: of two who disable each other at the same time, the second one
finds themselves disabled. Should a way be forgotten, Postgres refuses to commit a platform that had an active admin and
has none any more (the trigger in ``migrations``).

`by` is the caller's account, whose place is read under the lock: it counts what they are now. `held` is what their own
token holds: nobody gives more than that. Whoever gets another role, or is disabled, is signed out everywhere as staff.
"""

from uuid import UUID

from django.db import transaction
from django.db.models import Q

from identity.accounts import selectors as account_selectors
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.accounts.recovery import ask_for_reset
from identity.sessions import services as sessions
from identity.tokens.errors import InvalidToken
from operators import selectors, support
from operators.errors import AlreadyStaff, LastAdmin, UnknownAccount
from operators.models import Operator
from permissions import policy, scopes
from permissions.errors import refuse_more_than
from permissions.principals import Kind
from permissions.roles import OperatorRole
from permissions.scopes import Scope
from tenants.audit.services import Target, record


@transaction.atomic
def put_on_staff(*, user_id: UUID, role: OperatorRole) -> Operator:
    """Put a person on the staff, on nobody's authority but the platform's own: for commands, and for ``add``.

    Raises:
        UnknownAccount: there is no such open account.
        AlreadyStaff: they are on it, active or disabled.
    """
    try:
        user = accounts.hold_account(user_id=user_id)
    except User.DoesNotExist:
        raise UnknownAccount from None
    operator, is_new = Operator.objects.get_or_create(user=user, defaults={"role": role})
    if not is_new:
        raise AlreadyStaff
    _record("staff.added", operator, role=[None, operator.role])
    return operator


@transaction.atomic
def appoint(*, email: str, name: str, role: OperatorRole, password: str | None) -> Operator:
    """Put the person of an address on the staff, on the authority of whoever may run commands.

    Args:
        name, password: of the account that is made where there is none. Without a password, a link to choose one is
            mailed to the address; with one, the caller vouches that it is its person's.

    Raises:
        ValidationError: the password breaks a rule.
        UnknownAccount: there is an account, but it is closed, or nobody has proved its address.
        AlreadyStaff: they are on the staff, active or disabled.
    """
    user = account_selectors.user_by_email(email)
    if user is not None:
        return put_on_staff(user_id=_proved(user).pk, role=role)
    if password is None:
        operator = put_on_staff(user_id=accounts.create_user_to_be_claimed(email=email, name=name).pk, role=role)
        ask_for_reset(email=email)
        return operator
    return put_on_staff(user_id=accounts.create_user(email=email, password=password, name=name).pk, role=role)


@transaction.atomic
def add(*, email: str, role: OperatorRole, by: UUID, held: frozenset[str]) -> Operator:
    """Put the person of an address on the staff.

    Raises:
        UnknownAccount: no open account has the address, or nobody has proved it.
        AlreadyStaff: they are on it, active or disabled.
        ScopeNotHeld: the role holds more than the caller.
        InvalidToken: the caller may not do this any more.
    """
    _lock(None, by)
    _refuse_to_give(role, held)
    return put_on_staff(user_id=_proved(account_selectors.user_by_email(email)).pk, role=role)


@transaction.atomic
def change_role(*, operator_id: UUID, role: OperatorRole, by: UUID, held: frozenset[str]) -> Operator:
    """Give a member of staff another role. They sign in again. The same role changes nothing.

    Raises:
        Operator.DoesNotExist: there is no such member of staff.
        ScopeNotHeld: the role holds more than the caller.
        LastAdmin: there would be no active admin left.
        InvalidToken: the caller may not do this any more.
    """
    operator = _lock(operator_id, by)
    if operator.role == role:
        return operator
    _refuse_to_give(role, held)
    if role != OperatorRole.ADMIN:
        _keep_an_admin(operator)
    before, operator.role = operator.role, role
    _change(operator, "staff.role_changed", role=[before, role.value])
    return operator


@transaction.atomic
def disable(*, operator_id: UUID, by: UUID) -> Operator:
    """Keep a member of staff out of the operator API until they are enabled. Doing it twice changes nothing.

    Raises:
        Operator.DoesNotExist: there is no such member of staff.
        LastAdmin: there would be no active admin left.
        InvalidToken: the caller may not do this any more.
    """
    operator = _lock(operator_id, by)
    if operator.is_active:
        _keep_an_admin(operator)
        operator.is_active = False
        _change(operator, "staff.disabled")
    return operator


@transaction.atomic
def enable(*, operator_id: UUID, by: UUID, held: frozenset[str]) -> Operator:
    """Let a disabled member of staff in again, with the role they have. Doing it twice changes nothing.

    Raises:
        Operator.DoesNotExist: there is no such member of staff.
        ScopeNotHeld: their role holds more than the caller.
        InvalidToken: the caller may not do this any more.
    """
    operator = _lock(operator_id, by)
    if not operator.is_active:
        _refuse_to_give(OperatorRole(operator.role), held)
        operator.is_active = True
        _change(operator, "staff.enabled")
    return operator


@transaction.atomic
def remove(*, operator_id: UUID, by: UUID) -> None:
    """Take a person off the staff. Their account stays.

    Raises:
        Operator.DoesNotExist: there is no such member of staff.
        LastAdmin: there would be no active admin left.
        InvalidToken: the caller may not do this any more.
    """
    operator = _lock(operator_id, by)
    _keep_an_admin(operator)
    _sign_out(operator)
    gone, role = _targets(operator), operator.role
    operator.delete()
    record(action="staff.removed", tenant_id=None, targets=gone, changes={"role": [role, None]})


def _lock(operator_id: UUID | None, by: UUID) -> Operator:
    """Return a member of staff (the caller, if none is named), held together with the caller and all admins, in one
    order for everybody. Support accesses, which tell the tenant and then refer to the operator, are in nobody's way.
    """
    wanted = Q(pk=operator_id) | Q(user_id=by) | Q(role=OperatorRole.ADMIN)
    rows = list(selectors.staff().select_for_update(of=("self",), no_key=True).filter(wanted).order_by("id"))
    caller = next((row for row in rows if row.user_id == by and row.is_active), None)
    if caller is None or not scopes.holds(_granted(caller.role), Scope.PLATFORM_STAFF_WRITE):
        raise InvalidToken  # since their token was looked at, somebody has changed what they are
    operator = caller if operator_id is None else next((row for row in rows if row.pk == operator_id), None)
    if operator is None:
        raise Operator.DoesNotExist
    return operator


def _proved(user: User | None) -> User:
    """Return an account whose person is known to have its address: else whoever claimed it would have the place."""
    if user is None or user.email_verified_at is None or not user.is_active:
        raise UnknownAccount
    return user


def _granted(role: str) -> frozenset[str]:
    return policy.granted(Kind.OPERATOR, role)


def _refuse_to_give(role: OperatorRole, held: frozenset[str]) -> None:
    refuse_more_than(held, _granted(role))


def _keep_an_admin(without: Operator) -> None:
    is_active_admin = without.role == OperatorRole.ADMIN and without.is_active
    if is_active_admin and not selectors.active_admins().exclude(pk=without.pk).exists():
        raise LastAdmin


def _change(operator: Operator, action: str, **changes: list[str]) -> None:
    operator.version += 1
    operator.save(update_fields=["role", "is_active", "version"])
    _sign_out(operator)
    _record(action, operator, **changes)


def _sign_out(operator: Operator) -> None:
    """End all that a person does as staff; each tenant that they are looking into is told in its own trail."""
    support.end_all_of(operator_id=operator.pk)
    sessions.end_staff_sessions(user_id=operator.user_id)


def _targets(operator: Operator) -> list[Target]:
    return [Target("operator", operator.pk, operator.user.name), Target("account", operator.user_id)]


def _record(action: str, operator: Operator, **changes: list[str | None] | list[str]) -> None:
    record(action=action, tenant_id=None, targets=_targets(operator), changes=changes)
