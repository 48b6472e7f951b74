"""Which rows and columns of the shared tables tenants, and people, reach. Silence is no way around: a model that says
nothing does not pass the system check.

A tenant's requests run as its own Postgres role. That role has the tables of its schema; of the shared tables it has
what an opening says, and Postgres refuses the rest (row-level security and column grants). An opening is declared
beside the model::

    @opened(rows=f"tenant_id = {THIS_TENANT}", select=["id", "name"], update=["name"])
    class Thing(models.Model): ...

    @closed
    class Secret(models.Model): ...

A model of a lower layer may be opened from above, because who may see a person depends on their memberships, say.

What a person sees of themselves in all their tenants at once (sign-ins, memberships) runs as one more role, of which
``opened_to_people`` says in the same way what it reaches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from django.db.models import Model

ModelClass = TypeVar("ModelClass", bound=type[Model])

# The id of the tenant whose role is at work. The role's name is the schema's; the registry is behind the wall itself.
THIS_TENANT = "(SELECT id FROM registry_tenant WHERE schema_name = current_user)"

# The id of the person at work, where ``tenants.context.entry.as_person`` said so; otherwise null, which equals nothing.
THIS_PERSON = "nullif(current_setting('tenantry.person', true), '')::uuid"

# Apps that are not ours; no tenant has any business in their tables.
CLOSED_APPS = frozenset({"auth", "contenttypes", "procrastinate", "sessions"})


@dataclass(frozen=True)
class Opening:
    """What a tenant's role, or people's, may do with a shared table.

    Attributes:
        rows: SQL condition on the rows it reaches; ``{table}`` is the table's name. It holds for rows that are written,
            too. Only constants are composed in.
        select, insert, update: names of columns.
        delete: whether it may delete the rows that it reaches.
    """

    rows: str
    select: Sequence[str]
    insert: Sequence[str] = field(default=())
    update: Sequence[str] = field(default=())
    delete: bool = False


EVERY_VERB = ("SELECT", "INSERT", "UPDATE", "DELETE")

_declared: dict[str, Opening | None] = {}
_to_people: dict[str, Opening] = {}
_of_app: dict[str, tuple[str, ...]] = {}


def opened(
    *, rows: str, select: Sequence[str], insert: Sequence[str] = (), update: Sequence[str] = (), delete: bool = False
) -> Callable[[ModelClass], ModelClass]:
    """Declare what tenants reach of a shared model; see ``Opening``."""

    def declare(model: ModelClass) -> ModelClass:
        _declared[model._meta.db_table] = Opening(rows, select, insert, update, delete)
        return model

    return declare


def opened_to_people(
    *, rows: str, select: Sequence[str], update: Sequence[str] = ()
) -> Callable[[ModelClass], ModelClass]:
    """Declare what a person reaches of a shared model, in whichever tenants; see ``Opening``."""

    def declare(model: ModelClass) -> ModelClass:
        _to_people[model._meta.db_table] = Opening(rows, select, update=update)
        return model

    return declare


def closed(model: ModelClass) -> ModelClass:
    """Declare that tenants reach nothing of a shared model."""
    _declared[model._meta.db_table] = None
    return model


def app_only(*verbs: str) -> Callable[[ModelClass], ModelClass]:
    """Declare that the app itself may do no more than this with a shared model: of a trail, ``SELECT`` and ``INSERT``.
    A model without it is the app's to do everything with.
    """

    def declare(model: ModelClass) -> ModelClass:
        _of_app[model._meta.db_table] = verbs
        return model

    return declare


def verbs_of_app(table: str) -> tuple[str, ...]:
    """Return what the app may do with a shared table."""
    return _of_app.get(table, EVERY_VERB)


def declared_to_people() -> Mapping[str, Opening]:
    """Return what was opened to people, by table."""
    return dict(_to_people)


def declared() -> Mapping[str, Opening | None]:
    """Return what was declared, by table; None for what is closed."""
    return dict(_declared)
