"""The SQL of plain SELECTs that is kept is Django's own, whatever a query is made of."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.db.backends.postgresql.compiler import SQLCompiler as DjangoCompiler
from django.db.migrations.state import ProjectState
from django.db.models import Count, Exists, F, Model, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Lower

from examples.projects.models import Project, Task
from identity.accounts.models import User
from identity.members.models import Membership
from tenants.context.backend import compiler
from tenants.context.backend.compiler import SQLCompiler

Step = Callable[[QuerySet[Any]], Any]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = uuid4()

# What is put together in every combination, each of which stays plain.
CONDITIONS: list[Step] = [
    lambda found: found,
    lambda found: found.filter(pk=ID),
    lambda found: found.filter(status="active"),
    lambda found: found.filter(created_at__lt=NOW, created_by=ID),
    lambda found: found.filter(created_at__gte=NOW).filter(name="Exactly"),
]
ORDERS: list[Step] = [
    lambda found: found,
    lambda found: found.order_by(),
    lambda found: found.order_by("-created_at", "id"),
    lambda found: found.order_by("pk").reverse(),
]
LIMITS: list[Step] = [lambda found: found, lambda found: found[:21], lambda found: found[5:9], lambda found: found[5:]]

# What is Django's business.
NOT_PLAIN: dict[str, Step] = {
    "or": lambda found: found.filter(Q(name="a") | Q(name="b")),
    "exclude": lambda found: found.exclude(name="a"),
    "in": lambda found: found.filter(pk__in=[ID]),
    "text": lambda found: found.filter(name__icontains="a"),
    "null": lambda found: found.filter(name=None),
    "expression": lambda found: found.filter(name=F("description")),
    "function": lambda found: found.filter(name=Lower(Value("A"))),
    "transform": lambda found: found.filter(created_at__date=NOW.date()),
    "exists": lambda found: found.filter(Exists(Task.objects.filter(project=OuterRef("pk")))),
    "subquery": lambda found: found.filter(pk=Task.objects.filter(title="a").values("project")[:1]),
    "join": lambda found: found.filter(tasks__title="a"),
    "ordered by expression": lambda found: found.order_by(F("name").desc(nulls_last=True)),
    "annotated": lambda found: found.annotate(tasks_count=Count("tasks")),
    "values": lambda found: found.filter(pk=ID).values("name"),
    "values_list": lambda found: found.filter(pk=ID).values_list("name", flat=True),
    "only": lambda found: found.only("name"),
    "defer": lambda found: found.defer("name"),
    "distinct": lambda found: found.distinct(),
    "distinct on": lambda found: found.order_by("name").distinct("name"),
    "locked": lambda found: found.select_for_update(),
    "extra": lambda found: found.extra(where=["true"]),
    "union": lambda found: found.union(found),
    "none": lambda found: found.none(),
}


def texts(found: QuerySet[Any]) -> tuple[Any, Any]:
    """Return what Django composes, and what we do once it is kept."""
    theirs = DjangoCompiler(found.query.clone(), connection, "default")
    SQLCompiler(found.query.clone(), connection, "default").as_sql()
    ours = SQLCompiler(found.query.clone(), connection, "default")
    of_django, of_ours = theirs.as_sql(), ours.as_sql()
    columns = [[(str(column), text, alias) for column, text, alias in each.select or []] for each in (theirs, ours)]
    assert columns[0] == columns[1]
    assert theirs.klass_info == ours.klass_info
    assert theirs.annotation_col_map == ours.annotation_col_map
    expressions = [column for column, _, _ in ours.select or []]
    assert theirs.get_converters(expressions).keys() == ours.get_converters(expressions).keys()
    return of_django, of_ours


@pytest.mark.parametrize("steps", list(product(CONDITIONS, ORDERS, LIMITS)))
def test_a_plain_select_is_kept_and_is_the_same(steps: tuple[Step, Step, Step]) -> None:
    found: QuerySet[Any] = Project.objects.all()
    for step in steps:
        found = step(found)
    theirs, ours = texts(found)
    assert compiler._kind_of(found.query) in compiler._kept
    assert (ours[0], tuple(ours[1])) == (theirs[0], tuple(theirs[1]))


@pytest.mark.parametrize("what", NOT_PLAIN)
def test_anything_else_is_left_to_django(what: str) -> None:
    found = NOT_PLAIN[what](Project.objects.all())
    assert compiler._kind_of(found.query) is None
    if what not in {"none", "locked"}:  # which compose nothing, or nothing outside of a transaction
        assert SQLCompiler(found.query.clone(), connection, "default").as_sql() == (
            DjangoCompiler(found.query.clone(), connection, "default").as_sql()
        )


def test_what_a_query_has_that_is_not_known_is_left_to_django() -> None:
    """A later Django may bring attributes that say something about the text."""
    query = Project.objects.filter(pk=ID).query
    query.__dict__["newly_made"] = True
    assert compiler._kind_of(query) is None


def test_truth_is_part_of_the_text() -> None:
    yes, no = (User.objects.filter(is_active=truth).order_by("pk") for truth in (True, False))
    assert texts(yes)[0] == texts(yes)[1]
    assert texts(no)[0] == texts(no)[1]
    assert texts(yes)[1] != texts(no)[1]


def test_conditions_of_the_same_kind_on_other_columns_are_another_text() -> None:
    by_name, by_status = Project.objects.filter(name="a"), Project.objects.filter(status="a")
    assert texts(by_name)[1] != texts(by_status)[1]
    assert texts(Project.objects.filter(created_at__lt=NOW))[1] != texts(Project.objects.filter(created_at__gt=NOW))[1]


@pytest.mark.parametrize("model", apps.get_models(include_auto_created=True), ids=lambda model: model._meta.label)
def test_every_model_is_read_by_its_key_as_django_does(model: type[Model]) -> None:
    manager = model._default_manager
    value = ID if model._meta.pk.get_internal_type() == "UUIDField" else "1"
    for found in (manager.filter(pk=value), manager.all(), manager.order_by("-pk")[:3]):
        theirs, ours = texts(found)
        assert (ours[0], repr(ours[1])) == (theirs[0], repr(theirs[1]))


@pytest.mark.usefixtures("db")
def test_rows_are_the_same_the_second_time() -> None:
    person = User.objects.create(email="somebody@people.test")
    for _ in range(2):
        assert User.objects.get(email="somebody@people.test") == person
        assert [each.pk for each in User.objects.filter(email=person.email).order_by("-pk")[:5]] == [person.pk]
        assert not Membership.objects.filter(pk=ID)


def test_a_model_as_it_was_at_a_migration_is_not_kept() -> None:
    """There is another class of it each time."""
    found = ProjectState.from_apps(apps).apps.get_model("projects", "Project").objects.filter(pk=ID)
    theirs, ours = texts(found)
    assert ours == theirs
    assert compiler._kind_of(found.query) not in compiler._kept


def test_no_more_than_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_kept", {})
    monkeypatch.setattr(compiler, "_MOST", 2)
    for limit in range(1, 6):
        theirs, ours = texts(Project.objects.order_by("pk")[:limit])
        assert ours == theirs
    assert len(compiler._kept) == 2
