"""Changing accounts: every function is one transaction. What works by mailed links is in ``registration`` and
``recovery``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.db.models import Exists, ForeignObjectRel, OuterRef
from django.utils import timezone
from psycopg import sql

from identity.accounts import links, selectors
from identity.accounts.models import PROFILE, User, normalize_email
from identity.accounts.signals import account_deactivated, account_deleting, email_verified, password_changed
from identity.mail.services import enqueue
from tenants.audit.services import Target, record
from tenants.context.statements import Columns, beginning_with, table

_CREDENTIALS = Columns(User, "person", ("id", "password", "is_active", "email_verified_at", "has_second_factor"))
_HOLD = (
    sql.SQL("SELECT {columns} FROM {people} person WHERE person.id = %s FOR NO KEY UPDATE")
    .format(columns=_CREDENTIALS.selected, people=table(User))
    .as_string()
)

# What refers to an account and is nothing without it. Whatever else does keeps an account from being pruned.
_BELONGINGS = frozenset({"sessions", "mailed_links", "challenges"})


@transaction.atomic
def create_user(*, email: str, password: str, name: str = "", verified: bool = True) -> User:
    """Create an account.

    Args:
        verified: whether the caller vouches that the address is its owner's.

    Raises:
        ValidationError: the password breaks a rule; the message says which.
        IntegrityError: the address has an account already.
    """
    user = User(email=normalize_email(email), name=name, email_verified_at=timezone.now() if verified else None)
    validate_password(password, user)
    user.set_password(password)
    user.save(force_insert=True)
    return user


@transaction.atomic
def create_user_to_be_claimed(*, email: str, name: str = "") -> User:
    """Create an account that nothing opens until the owner of its address has chosen a password by a mailed link.

    Raises:
        IntegrityError: the address has an account already.
    """
    user = User(email=normalize_email(email), name=name)
    user.set_unusable_password()
    user.save(force_insert=True)
    return user


@transaction.atomic
def vouch_for(*, email: str, name: str) -> User:
    """Return the account of an address at whose domain somebody vouches for it: a tenant that proved the domain. Where
    there is none, there is one now, which nothing opens until its person has chosen a password by a mailed link.

    One that its person has proved, or that is closed, stays as it is. On one that nobody has proved, a password that
    somebody set is gone, with its sessions and links: whoever registered it first may be a stranger.
    """
    draft = User(email=normalize_email(email), name=name)
    draft.set_unusable_password()
    User.objects.bulk_create([draft], ignore_conflicts=True)
    user = User.objects.select_for_update().get(email=draft.email)
    if user.is_active and user.email_verified_at is None and user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])
        links.void_links(user)
        password_changed.send(sender=User, user_id=user.pk, keep_session=None)
    return user


def is_password_of(*, user_id: UUID, password: str) -> bool:
    """Tell whether an active account has this password."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    return user is not None and check_password(password, user.password)


@transaction.atomic
def change_password(*, user_id: UUID, current: str, new: str, keep_session: UUID | None) -> bool:
    """Give a person another password, and end all their sessions but one. Open links of theirs are void, and they are
    told by mail.

    The account's row stays locked until the end: who signs in with the old password at the same time finds it changed
    (see ``credentials_held``).

    Returns:
        whether `current` was the password; if not, nothing has changed.

    Raises:
        ValidationError: the new password breaks a rule.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    if not check_password(current, user.password):
        return False
    validate_password(new, user)
    user.set_password(new)
    user.save(update_fields=["password"])
    links.void_links(user)
    password_changed.send(sender=User, user_id=user_id, keep_session=keep_session)
    enqueue(template="password_changed", to=user.email, context={"user": user_id})
    record(action="account.password_changed", tenant_id=None, person=user_id, targets=[target(user)])
    return True


@contextmanager
def credentials_held(user: User, *, is_vouched_for: bool = False) -> Iterator[bool]:
    """Be in a transaction that begins by looking whether what was just proved still holds, and may begin a session; it
    stays so until the transaction ends.

    Between checking a password and starting a session, the password may be changed or the account closed; what ended
    all sessions then must not miss this one. Nor must a session begin without the second factor that was added then.

    Args:
        is_vouched_for: a tenant whose address it is says that it is theirs, for itself alone: no proof of it is needed.
    """
    with beginning_with(_HOLD, user.pk) as row:
        held = row and _CREDENTIALS.take(iter(row))
        is_open = held and (held.is_active if is_vouched_for else selectors.may_sign_in(held))
        yield bool(held and is_open and _is_same(held, user))


def _is_same(held: User, user: User) -> bool:
    return (held.password, held.has_second_factor) == (user.password, user.has_second_factor)


def hold_account(*, user_id: UUID) -> User:
    """Return an active account, and keep it so until the transaction ends; those who hold the same one take turns.

    Raises:
        User.DoesNotExist: there is no such active account.
    """
    return User.objects.select_for_update(no_key=True).get(pk=user_id, is_active=True)


@transaction.atomic
def note_second_factors(*, user: User, has_any: bool) -> None:
    """Keep in a held account's row whether its person has second factors."""
    if user.has_second_factor != has_any:
        user.has_second_factor = has_any
        user.save(update_fields=["has_second_factor"])


@transaction.atomic
def mark_verified(*, user_id: UUID) -> None:
    """Note that a person has proved their address in another way than by a link of ours to verify it: by accepting an
    invitation that was mailed there, for instance. Doing it twice changes nothing.

    Raises:
        User.DoesNotExist: there is no such account.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    if user.email_verified_at is None:
        user.email_verified_at = timezone.now()
        user.save(update_fields=["email_verified_at"])
        links.void_links(user)
        announce_proof(user, wanted_tenant=None)


def announce_proof(user: User, *, wanted_tenant: Mapping[str, str] | None) -> None:
    """Say that an address was proved for the first time, as the last part of the transaction that notes it."""
    email_verified.send(sender=User, user_id=user.pk, email=user.email, wanted_tenant=wanted_tenant)
    record(action="account.registered", tenant_id=None, person=user.pk, targets=[target(user)])


@transaction.atomic
def update_profile(*, user_id: UUID, changes: Mapping[str, str]) -> User:
    """Change what people change of themselves (``models.PROFILE``), as that person.

    Raises:
        User.DoesNotExist: there is no such account.
    """
    user = selectors.user_by_id(user_id)
    names = [name for name in PROFILE if name in changes]
    for name in names:
        setattr(user, name, changes[name])
    user.save(update_fields=names)
    return user


@transaction.atomic
def delete_account(*, user_id: UUID) -> None:
    """Delete an account with all that is nothing without it: sessions, memberships, links.

    Raises:
        User.DoesNotExist: there is no such account.
        Exception: whoever has to keep the account says why; see ``signals.account_deleting``.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    account_deleting.send(sender=User, user_id=user_id, email=user.email)
    deleted = target(user)
    user.delete()
    record(action="account.deleted", tenant_id=None, person=user_id, targets=[deleted])


@transaction.atomic
def set_active(*, user_id: UUID, is_active: bool) -> User:
    """Close an account, which ends all its sessions, or open it again. Doing it twice changes nothing.

    Raises:
        User.DoesNotExist: there is no such account.
    """
    user = User.objects.select_for_update().get(pk=user_id)
    if user.is_active != is_active:
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        if not is_active:
            account_deactivated.send(sender=User, user_id=user_id)
        action = "account.reopened" if is_active else "account.closed"
        record(action=action, tenant_id=None, targets=[target(user)])
    return user


@transaction.atomic
def prune_unproved(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` accounts whose address nobody has proved for `keep`, and return how many.

    Only those that nothing of value refers to: no membership, no place on the staff, nothing that some app may have
    added. What a person with a proved address has is never touched.
    """
    old, now = timezone.now() - keep, timezone.now()
    claims = User.objects.filter(email_verified_at=None, is_active=True, created_at__lt=old)
    claims = claims.exclude(mailed_links__expires_at__gt=now)  # somebody may still be about to prove it
    for relation in User._meta.get_fields(include_hidden=True):
        if isinstance(relation, ForeignObjectRel) and relation.get_accessor_name() not in _BELONGINGS:
            rows = relation.related_model._base_manager.filter(  # noqa: SLF001 -- Django documents it
                **{relation.field.name: OuterRef("pk")}
            )
            claims = claims.exclude(Exists(rows))
    locked = claims.order_by("created_at").select_for_update(skip_locked=True, of=("self",))
    batch = list(locked.values_list("pk", flat=True)[:limit])
    User.objects.filter(pk__in=batch).delete()
    return len(batch)


def target(user: User) -> Target:
    """Return an account as the audit trail names it: an address is no name for a log."""
    return Target("account", user.pk)
