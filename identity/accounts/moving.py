"""People in the files that tenants are exported to: whose account it is, and never what proves that."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar
from uuid import UUID

from identity.accounts import links
from identity.accounts.models import User, normalize_email
from identity.accounts.signals import password_changed
from tenants.lifecycle.belongings import Person

Item = TypeVar("Item")

_AT_ONCE = 500
_DESCRIBED = ["id", "email", "name", "locale", "time_zone"]


def describe(ids: Iterable[UUID]) -> Iterator[Person]:
    """Yield the accounts of these ids that there are."""
    for chunk in _chunks(ids):
        for row in User.objects.filter(pk__in=chunk).order_by("pk").values(*_DESCRIBED):
            yield Person(**row)


def settle(people: Iterable[Person]) -> dict[UUID, UUID]:
    """Find the account of each person, by its id, else by its address. Where there is none, there is one now, which
    nobody can sign in to before its address is proved. Returns the ids that differ from those in the file.

    An account that somebody registered with the address and never proved may be anybody's: as when an address is
    proved (see ``registration``), its password and its sessions end before it gets anything.
    """
    differing: dict[UUID, UUID] = {}
    for chunk in _chunks(people):
        present = set(User.objects.filter(pk__in=[person.id for person in chunk]).values_list("pk", flat=True))
        for person in chunk:
            if person.id not in present:
                account = _of_address(person)
                if account.pk != person.id:
                    differing[person.id] = account.pk
    return differing


def _of_address(person: Person) -> User:
    account = User.objects.select_for_update().filter(email=normalize_email(person.email)).first()
    if account is None:
        account = User(
            id=person.id,
            email=normalize_email(person.email),
            name=person.name,
            locale=person.locale,
            time_zone=person.time_zone,
        )
        account.set_unusable_password()
        account.clean_fields(exclude=["password", "email_verified_at"])
        account.save(force_insert=True)
    elif account.email_verified_at is None:
        account.set_unusable_password()
        account.save(update_fields=["password"])
        links.void_links(account)
        password_changed.send(sender=User, user_id=account.pk, keep_session=None)
    return account


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    source = iter(items)
    while chunk := list(islice(source, _AT_ONCE)):
        yield chunk
