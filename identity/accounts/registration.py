"""From an address that somebody typed to an account whose person proved it, and from one address to the next.

Whoever asks about an address gets the same answer for the same work, whether it has an account or not (ASVS 6.3.8).
What they may know is in the mail that its owner gets.

An account whose address nobody has proved is a claim, and anybody can make one of somebody else's address. So a
registration of such an address does not change the account: what it asked for waits in its own link, and whoever proves
the address by that link gets the account as they asked for it. A password that somebody else set before is gone then,
and so are their sessions. Source: Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from identity.accounts import links, services
from identity.accounts.errors import EmailTaken, InvalidLink
from identity.accounts.models import PROFILE, MailedLink, Purpose, User, normalize_email
from identity.accounts.signals import password_changed
from identity.mail.services import enqueue
from tenants.audit.services import record
from tenants.lifecycle.services import provisioning


@dataclass(frozen=True)
class WantedTenant:
    """A tenant that somebody asks for along with their account."""

    name: str
    slug: str


@dataclass(frozen=True)
class Proved:
    """Which address was proved, and the slug of the tenant that came with it."""

    email: str
    tenant: str | None


@transaction.atomic
def register(*, email: str, password: str, profile: Mapping[str, str], tenant: WantedTenant | None = None) -> None:
    """Claim an address: an account if it has none, and a mail with a link that proves the address, or that says that it
    has an account already, which stays as it is.

    The work is one hash and one row of each kind, whatever there was.

    Args:
        profile: some of ``models.PROFILE``.

    Raises:
        ValidationError: the password breaks a rule.
    """
    address = normalize_email(email)
    user = User(email=address, **profile)
    validate_password(password, user)
    user.password = make_password(password)
    # ON CONFLICT DO NOTHING: two registrations of one address at once end as one account and no error.
    User.objects.bulk_create([user], ignore_conflicts=True)
    account = User.objects.get(email=address)
    attempt = {"password": user.password, "tenant": tenant and asdict(tenant)}
    attempt |= {name: getattr(user, name) for name in PROFILE}
    _ask_for_proof(address, account if _is_claim(account) else None, attempt, otherwise="account_exists")


@transaction.atomic
def claim_proved(*, email: str, password: str, name: str) -> User:
    """Return the account of an address that its owner has just proved in another way: by an invitation mailed there. It
    is locked until the transaction ends.

    Where nobody has proved the address before, the account is theirs with this password and this name. One that was
    proved, or closed, stays as it is. The work is one hash, whatever there was.

    Raises:
        ValidationError: the password breaks a rule.
    """
    address = normalize_email(email)
    draft = User(email=address, name=name)
    validate_password(password, draft)
    draft.password = make_password(password)
    User.objects.bulk_create([draft], ignore_conflicts=True)
    user = User.objects.select_for_update().get(email=address)
    if _is_claim(user):
        _hand_over(user, {"password": draft.password, "name": name})
        services.announce_proof(user, wanted_tenant=None)
    return user


@transaction.atomic
def ask_again(*, email: str) -> None:
    """Mail a new link to whoever registered an address and has not proved it yet. All others get a mail that says how
    things are.

    Where several registrations wait there is no telling which of them is asked for, and the mail's owner must not get
    somebody else's password by their own click: then the link lets them choose one.
    """
    address = normalize_email(email)
    account = User.objects.filter(email=address).first()
    registrations = MailedLink.objects.filter(user_id=account.pk if account else uuid4(), purpose=Purpose.VERIFY)
    attempts = {attempt["password"]: attempt for attempt in registrations.values_list("data", flat=True) if attempt}
    if account is None or not _is_claim(account):
        otherwise = "account_exists" if account and account.is_active else "no_account"
        _ask_for_proof(address, None, {}, otherwise=otherwise)
    elif len(attempts) == 1:
        _ask_for_proof(address, account, attempts.popitem()[1], otherwise="account_exists")
    else:
        link = links.create_link(user=account, email=address, purpose=Purpose.RESET)
        enqueue(template="choose_password", to=address, context={"link": link.pk})


@transaction.atomic
def ask_for_change(*, user_id: UUID, new_email: str, password: str) -> bool:
    """Mail a link to an address that a person wants for their account. Nothing changes before they use it.

    Returns:
        whether it was their password; if not, nothing is sent.
    """
    address = normalize_email(new_email)
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    if not check_password(password, user.password):
        return False
    is_taken = User.objects.filter(email=address).exists()
    link = links.create_link(user=None if is_taken else user, email=address, purpose=Purpose.CHANGE)
    enqueue(template="account_exists" if is_taken else "confirm_new_address", to=address, context={"link": link.pk})
    return True


def prove(*, token: str, tenant: WantedTenant | None = None) -> Proved:
    """Let a link take effect: an address is proved, or another one taken on.

    The first proof of an account's address may create the tenant that was asked for, in the same transaction.

    Args:
        tenant: what is wanted now, if it is another one than at registration (whose slug was taken meanwhile, say).

    Raises:
        InvalidLink: the link is no good.
        EmailTaken: the other address has an account by now.
        Exception: what those who listen raise (the slug is taken, say); then nothing has happened, and the link stays
            good.
    """
    link = links.believe(token, Purpose.VERIFY, Purpose.CHANGE)
    if link.purpose == Purpose.CHANGE:
        return _take_on_address(link)
    wanted = asdict(tenant) if tenant else link.data["tenant"]
    scope: AbstractContextManager[Any] = provisioning() if wanted else transaction.atomic()
    with scope:
        return _open_account(link, wanted)


def _open_account(link: MailedLink, wanted: Mapping[str, str] | None) -> Proved:
    user = links.hold_user(link)
    if not _is_claim(user) or user.email != link.email:
        raise InvalidLink
    _hand_over(user, {name: link.data[name] for name in ("password", *PROFILE)})
    services.announce_proof(user, wanted_tenant=wanted)
    return Proved(user.email, wanted["slug"] if wanted else None)


def _hand_over(user: User, asked_for: Mapping[str, str]) -> None:
    """Give an account to whoever has just proved its address, as they asked for it. A password that somebody else set
    is gone, and so are the sessions that began with it.
    """
    is_password_another = user.password != asked_for["password"]
    for name, value in asked_for.items():
        setattr(user, name, value)
    user.email_verified_at = timezone.now()
    user.save(update_fields=["email_verified_at", *asked_for])
    links.void_links(user)
    if is_password_another:
        password_changed.send(sender=User, user_id=user.pk, keep_session=None)


@transaction.atomic
def _take_on_address(link: MailedLink) -> Proved:
    user = links.hold_user(link)
    if User.objects.filter(email=link.email).exclude(pk=user.pk).exists():
        raise EmailTaken
    former, was_claim = user.email, _is_claim(user)
    user.email, user.email_verified_at = link.email, timezone.now()
    user.save(update_fields=["email", "email_verified_at"])
    links.void_links(user)
    enqueue(template="address_changed", to=former, context={"user": user.pk})
    if was_claim:
        services.announce_proof(user, wanted_tenant=None)
    changes = {"email": [former, user.email]}
    record(
        action="account.email_changed",
        tenant_id=None,
        person=user.pk,
        targets=[services.target(user)],
        changes=changes,
    )
    return Proved(user.email, None)


def _ask_for_proof(address: str, claim: User | None, attempt: dict[str, Any], *, otherwise: str) -> None:
    link = links.create_link(user=claim, email=address, purpose=Purpose.VERIFY, data=attempt if claim else None)
    enqueue(template="confirm" if claim else otherwise, to=address, context={"link": link.pk})


def _is_claim(user: User) -> bool:
    return user.is_active and user.email_verified_at is None
