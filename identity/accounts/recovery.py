"""A password that somebody has forgotten."""

from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from identity.accounts import links, services
from identity.accounts.errors import InvalidLink
from identity.accounts.models import Purpose, User, normalize_email
from identity.accounts.signals import password_changed
from identity.mail.services import enqueue
from tenants.audit.services import record


@transaction.atomic
def ask_for_reset(*, email: str) -> None:
    """Mail a link by which another password can be chosen; or, to an address without an open account, that somebody
    asked. The work is the same (ASVS 6.3.8).
    """
    address = normalize_email(email)
    user = User.objects.filter(email=address).first()
    if user is not None and not user.is_active:
        user = None
    link = links.create_link(user=user, email=address, purpose=Purpose.RESET)
    enqueue(template="reset" if user else "no_account", to=address, context={"link": link.pk})


@transaction.atomic
def force_reset(*, user_id: UUID) -> None:
    """Have a person choose another password: the present one opens nothing from now on, all their sessions end, their
    open links are void, and another link is mailed to them. Nobody else sees it; should it expire, they ask for one.

    Raises:
        User.DoesNotExist: there is no such active account.
    """
    user = User.objects.select_for_update().get(pk=user_id, is_active=True)
    user.set_unusable_password()
    user.save(update_fields=["password"])
    links.void_links(user)
    password_changed.send(sender=User, user_id=user.pk, keep_session=None)
    link = links.create_link(user=user, email=user.email, purpose=Purpose.RESET)
    enqueue(template="reset_forced", to=user.email, context={"link": link.pk})
    record(action="account.reset_forced", tenant_id=None, targets=[services.target(user)])


@transaction.atomic
def reset_password(*, token: str, new: str) -> str:
    """Give whoever has a link to do so another password, and return the account's address. All their sessions end,
    other links of theirs are void, and their address is proved: that is where the link was.

    Raises:
        InvalidLink: the link is no good.
        ValidationError: the password breaks a rule; the link stays good.
    """
    link = links.believe(token, Purpose.RESET)
    user = links.hold_user(link)
    if user.email != link.email:
        raise InvalidLink
    validate_password(new, user)
    was_proved = user.email_verified_at is not None
    user.set_password(new)
    user.email_verified_at = user.email_verified_at or timezone.now()
    user.save(update_fields=["password", "email_verified_at"])
    links.void_links(user)
    password_changed.send(sender=User, user_id=user.pk, keep_session=None)
    enqueue(template="password_changed", to=user.email, context={"user": user.pk})
    if not was_proved:
        services.announce_proof(user, wanted_tenant=None)
    record(action="account.password_reset", tenant_id=None, person=user.pk, targets=[services.target(user)])
    return user.email
