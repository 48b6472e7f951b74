"""People, and the links that are mailed to them."""

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower
from psycopg import sql

from identity.keys.computed import generate_row_secret
from tenants.context.statements import Columns, fetch_one, table
from tenants.registry.locales import LOCALE_LENGTH, TIME_ZONE_LENGTH, validate_locale, validate_time_zone
from tenants.wall.openings import THIS_PERSON, closed, opened_to_people

PROFILE = ["name", "locale", "time_zone"]  # what people change of themselves


def normalize_email(email: str) -> str:
    """Return an address as it is stored and looked up: one account per address, whatever its capitals."""
    return email.strip().lower()


class UserManager(BaseUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        """Return whoever signs in with an address, with what that takes.

        Raises:
            User.DoesNotExist: nobody has it.
        """
        row = fetch_one(_SIGNING_IN, normalize_email(username or ""))
        user = None if row is None else _PERSON.take(iter(row))
        if user is None:
            raise User.DoesNotExist
        return user


@opened_to_people(
    rows=f"id = {THIS_PERSON}",
    select=["id", "email", "is_active", "email_verified_at", *PROFILE],
    update=PROFILE,
)
@closed  # but for what identity.members opens of its members
class User(AbstractBaseUser):
    """A person, known to the whole platform by one address; what they may do is in their memberships.

    Attributes:
        email_verified_at: when they last proved that the address is theirs; null until they have. Until then the
            account is a claim, and ``settings.EMAIL_VERIFICATION`` says what it is good for.
        locale: a language tag (BCP 47).
        time_zone: a name of the IANA time zone database.
        has_second_factor: whether ``identity.factors`` has any of theirs, which keeps this true: signing in reads this
            row anyway.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    email_verified_at = models.DateTimeField(null=True)
    name = models.CharField(max_length=120, blank=True)
    locale = models.CharField(max_length=LOCALE_LENGTH, default="en", validators=[validate_locale])
    time_zone = models.CharField(max_length=TIME_ZONE_LENGTH, default="UTC", validators=[validate_time_zone])
    is_active = models.BooleanField(default=True)
    has_second_factor = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="accounts_user_email_lower"),
        ]
        indexes = [
            # For pruning: claims that nobody proved, oldest first.
            models.Index(
                fields=["created_at"], condition=models.Q(email_verified_at=None), name="accounts_user_unproved_idx"
            ),
        ]

    def __str__(self) -> str:
        return str(self.id)  # an address does not belong into logs


_PERSON = Columns(
    User, "person", ("id", "email", "name", "password", "is_active", "email_verified_at", "has_second_factor")
)
_SIGNING_IN = (
    sql.SQL("SELECT {columns} FROM {people} person WHERE person.email = %s")
    .format(columns=_PERSON.selected, people=table(User))
    .as_string()
)


class Purpose(models.TextChoices):
    """What a mailed link is for. A link for one is no good for another."""

    VERIFY = "verify"  # prove an account's address
    RESET = "reset"  # choose another password
    CHANGE = "change"  # take on another address


@closed
class MailedLink(models.Model):
    """A link that is good once, for whoever reads the mail of one address.

    No token is stored: it is computed from this row's secret and the server's key when the mail is sent.

    Attributes:
        user: whose account it changes; null where there is none, and the link is good for nothing: it was made so that
            an address without an account costs the same.
        email: the address that it was sent to.
        used_at: when it was used, or another one made it void.
        data: of a registration, what it wanted: the hash of its password, name, locale, time zone, tenant. Emptied when
            the link is used.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, null=True, related_name="mailed_links")
    email = models.EmailField(max_length=254, blank=True)
    purpose = models.CharField(max_length=16, choices=Purpose)
    secret = models.BinaryField(default=generate_row_secret)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["expires_at"])]  # for pruning

    def __str__(self) -> str:
        return str(self.id)
