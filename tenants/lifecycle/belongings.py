"""What belongs to a tenant among the shared tables. Nouns of higher layers say so here, when their apps are ready; what
exports, restores, clones and deletes a tenant reads it here, and knows none of them.

A model that points to the tenant and says nothing does not pass the system check. Beside it, ``register_people`` says
how people are described in a file and found again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.db.models import Field, ForeignKey, Model, Q, QuerySet

from tenants.registry.models import Tenant


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """Rows of one shared model that are a tenant's.

    Attributes:
        model: has a foreign key to the tenant, in the column `tenant_column`.
        is_exported: whether a file holds them; if not, they only go when the tenant goes.
        is_cloned: whether a sandbox gets a copy of them.
        is_cloned_with_members: whether it gets one if its members are to be copied.
        fresh: column to what makes a new value: secrets, and whatever a token stands on. No file holds them, and a
            restored row has others, so it revives nothing.
        accounts: columns with the id of an account that are no foreign keys.
        stays: which of them Postgres keeps as long as the tenant is there; they go with it, in one transaction.
    """

    model: type[Model]
    tenant_column: str = "tenant_id"
    is_exported: bool = True
    is_cloned: bool = False
    is_cloned_with_members: bool = False
    fresh: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    accounts: Sequence[str] = ()
    stays: Q | None = None

    @property
    def label(self) -> str:
        return self.model._meta.label_lower

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def columns(self) -> list[str]:
        """The columns that a file holds."""
        return [name for name in columns_of(self.model) if name not in self.fresh]

    def rows(self, tenant_id: UUID) -> QuerySet[Any]:
        """Return the rows that are a tenant's, whatever the model's own manager leaves out."""
        return QuerySet(self.model).filter(**{self.tenant_column: tenant_id})

    def references(self) -> dict[str, type[Model]]:
        """Return which columns point to which other model, but for the tenant."""
        keys = {name: key for name, key in columns_of(self.model).items() if isinstance(key, ForeignKey)}
        return {name: key.related_model for name, key in keys.items() if key.related_model is not Tenant}


@dataclass(frozen=True, kw_only=True)
class Person:
    """An account, as a file describes it: whose it is, and never what proves that."""

    id: UUID
    email: str
    name: str = ""
    locale: str = "en"
    time_zone: str = "UTC"


@dataclass(frozen=True, kw_only=True)
class People:
    """What the lifecycle asks of those who know accounts.

    Attributes:
        model: of the accounts.
        describe: yields the accounts of these ids that there are.
        settle: finds each described person, by id, else by address, else makes an account that nobody can sign in to;
            returns the ids that differ from the described ones.
        make_owner: makes an account (`user_id`) an owner of a tenant (`tenant_id`).
    """

    model: type[Model]
    describe: Callable[[Iterable[UUID]], Iterator[Person]]
    settle: Callable[[Iterable[Person]], dict[UUID, UUID]]
    make_owner: Callable[..., Any]


_belongings: dict[str, Belonging] = {}
_people: dict[str, Any] = {}


def columns_of(model: type[Model]) -> dict[str, "Field[Any, Any]"]:
    """Return a model's columns with their fields, by name."""
    return {str(column.column): column for column in model._meta.concrete_fields}


def belong(*belongings: Belonging) -> None:
    """Say what belongs to a tenant; saying it twice changes nothing."""
    _belongings.update({belonging.label: belonging for belonging in belongings})


def register_people(**functions: Any) -> None:
    """Say how people are described and found; see ``People``. Several nouns each say their part."""
    _people.update(functions)


def people() -> People:
    """Return what was said about people."""
    return People(**_people)


def all_belongings() -> list[Belonging]:
    """Return what belongs to a tenant, whatever is pointed to before what points to it."""
    done: list[Belonging] = []
    waiting = sorted(_belongings.values(), key=lambda belonging: belonging.label)
    while waiting:
        left = {belonging.model for belonging in waiting}
        ready = [each for each in waiting if not (left - {each.model}) & set(each.references().values())]
        done += ready or waiting[:1]
        waiting = [each for each in waiting if each not in done]
    return done


def exported() -> list[Belonging]:
    """Return what a file holds."""
    return [belonging for belonging in all_belongings() if belonging.is_exported]


@register(Tags.models)
def check_belongings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each model that points to the tenant and is in nobody's list."""
    return [
        Error(
            f"{model._meta.label} points to the tenant, and does not say what becomes of it when the tenant goes.",
            hint="Register it when the app is ready: see tenants/lifecycle/belongings.py.",
            obj=model,
            id="tenants.E009",
        )
        for model in apps.get_models(include_auto_created=True)
        if model._meta.label_lower not in _belongings and any(_points_to_tenant(key) for key in model._meta.fields)
    ]


def _points_to_tenant(key: Any) -> bool:
    return isinstance(key, ForeignKey) and key.related_model is Tenant
