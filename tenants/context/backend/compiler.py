"""Django's compiler of SQL, which composes a plain SELECT once: that takes longer than Postgres needs to answer it.

A SELECT is plain if its table, the kinds of its conditions, its order and its limits say all about its text: every
column of one table, conditions that compare a column with a value, all of which hold. Reading a row by its id is, and
so is a page of a list. Whatever else is set in a query, be it by a Django that is not written yet, leaves it to Django.
"""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db.backends.postgresql import compiler as postgresql
from django.db.backends.postgresql.compiler import (
    SQLAggregateCompiler,
    SQLDeleteCompiler,
    SQLInsertCompiler,
    SQLUpdateCompiler,
)
from django.db.models import Model
from django.db.models.expressions import Col
from django.db.models.lookups import Exact, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual
from django.db.models.sql.query import Query
from django.db.models.sql.where import AND, WhereNode

__all__ = ["SQLAggregateCompiler", "SQLCompiler", "SQLDeleteCompiler", "SQLInsertCompiler", "SQLUpdateCompiler"]

_MOST = 1024  # texts that are kept: a program has some dozens, each for every size of a page that somebody asks for
_COMPARISONS = frozenset({Exact, GreaterThan, GreaterThanOrEqual, LessThan, LessThanOrEqual})
# What a query over one table notes for itself, and what is looked at one by one.
_NOTES = frozenset({"model", "alias_refcount", "alias_map", "table_map", "used_aliases", "base_table", "_lookup_joins"})
_LOOKED_AT = frozenset({"where", "order_by", "low_mark", "high_mark", "default_ordering", "standard_ordering"})
_DEFAULTS = {**vars(Query), **vars(Query(Model))}


class _Kept(NamedTuple):
    """The text of a statement, and what the compiler knows of its columns."""

    text: str
    select: list[Any]
    klass_info: dict[str, Any] | None
    converters: dict[int, Any]


_kept: dict[Hashable, _Kept] = {}


class SQLCompiler(postgresql.SQLCompiler):
    """Django's for Postgres, but for plain SELECTs."""

    _plain: _Kept | None = None

    def as_sql(
        self,
        with_limits: bool = True,  # noqa: FBT001, FBT002 -- Django's
        with_col_aliases: bool = False,  # noqa: FBT001, FBT002 -- Django's
    ) -> tuple[str, tuple[Any, ...]]:
        """Return the statement's text and its parameters."""
        kind = _kind_of(self.query) if with_limits and not with_col_aliases else None
        if kind is None:
            return super().as_sql(with_limits, with_col_aliases)
        if kind not in _kept:
            text, parameters = super().as_sql()
            self._keep(kind, text, parameters)
            return text, parameters
        self._plain = kept = _kept[kind]
        self.select, self.klass_info, self.annotation_col_map = kept.select, kept.klass_info, {}
        self.col_count, self.has_extra_select = len(kept.select), False
        conditions: list[Any] = self.query.where.children
        return kept.text, tuple(value for each in conditions for value in each.process_rhs(self, self.connection)[1])

    def get_converters(self, expressions: Any) -> dict[int, Any]:
        """Return what makes Python's values of some columns'."""
        return self._plain.converters if self._plain is not None else super().get_converters(expressions)

    def _keep(self, kind: Hashable, text: str, parameters: tuple[Any, ...]) -> None:
        # A column's own SQL may have parameters, or a table that it inherits from: those are Django's business. A model
        # as it was at some migration is not used again.
        is_plain = len(self.query.alias_map) == 1 and len(parameters) == len(self.query.where.children)
        is_lasting = self.query.model is not None and self.query.model._meta.apps is apps
        if is_plain and is_lasting and not self.has_extra_select and len(_kept) < _MOST:
            columns = [expression for expression, _, _ in self.select]
            _kept[kind] = _Kept(text, self.select, self.klass_info, super().get_converters(columns))


def _kind_of(query: Query) -> Hashable:
    """Return what says all about the text of a plain SELECT; None if it is not plain."""
    for name, value in query.__dict__.items():
        if name in _NOTES or name in _LOOKED_AT:
            continue
        if name not in _DEFAULTS or value != _DEFAULTS[name]:
            return None
    if type(query) is not Query or query.model is None:
        return None
    table = query.model._meta.db_table
    if not query.alias_map.keys() <= {table}:
        return None
    conditions = tuple(_kinds_of(query.where, table))
    if None in conditions or not all(type(each) is str for each in query.order_by):
        return None
    order = query.order_by, query.default_ordering, query.standard_ordering
    return query.model, conditions, order, query.low_mark, query.high_mark


def _kinds_of(where: WhereNode, table: str) -> Iterator[Hashable]:
    if where.negated or where.connector != AND:
        yield None
    each: Any
    for each in where.children:
        yield (type(each), each.lhs.target) if _compares_with_value(each, table) else None


def _compares_with_value(condition: Any, table: str) -> bool:
    """Tell whether a condition's text is the same for any value: ``column = %s``. True and False go into the text."""
    if type(condition) not in _COMPARISONS or type(condition.lhs) is not Col or condition.bilateral_transforms:
        return False
    return condition.lhs.alias == table and condition.rhs_is_direct_value() and type(condition.rhs) is not bool
