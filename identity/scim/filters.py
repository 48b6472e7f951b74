"""SCIM filters (RFC 7644 section 3.4.2.2) as conditions on rows. Values never become SQL: the ORM binds them.

What rows cannot be searched by is refused (``invalidFilter``), never left out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import CharField, Exists, F, Model, OuterRef, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Coalesce, Lower, NullIf
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)

from identity.members.models import Membership, MembershipStatus
from identity.scim.models import ScimGroup, ScimGroupMember
from identity.scim.resources import Group, User

Rows = TypeVar("Rows", bound=Model)

_LENGTH, _NESTING = 2000, 20
_LOOKUPS = {
    CompareOperator.eq: "exact",
    CompareOperator.co: "contains",
    CompareOperator.sw: "startswith",
    CompareOperator.ew: "endswith",
    CompareOperator.gt: "gt",
    CompareOperator.ge: "gte",
    CompareOperator.lt: "lt",
    CompareOperator.le: "lte",
}
_EQUAL = frozenset({CompareOperator.eq, CompareOperator.ne})
_ORDER = _EQUAL | {CompareOperator.gt, CompareOperator.ge, CompareOperator.lt, CompareOperator.le}


@dataclass(frozen=True)
class Column:
    """What an attribute is in rows.

    Attributes:
        expression: its value.
        read: makes a filter's value comparable with that; ValueError where it cannot.
        operators: those that it is searched by, besides ``pr``.
    """

    expression: Combinable
    read: Callable[[Any], Any]
    operators: frozenset[CompareOperator] = frozenset(CompareOperator)


def members_matching(rows: QuerySet[Membership], text: str) -> QuerySet[Membership]:
    """Narrow memberships to the users that a filter matches.

    Raises:
        InvalidFilterException: the filter is none, or cannot be searched by.
    """
    return _narrowed(rows, _OfUsers(), text)


def groups_matching(rows: QuerySet[ScimGroup], text: str) -> QuerySet[ScimGroup]:
    """Narrow groups to those that a filter matches. Raises as ``members_matching``."""
    return _narrowed(rows, _OfGroups(), text)


def _narrowed(rows: QuerySet[Rows], visitor: "_Conditions", text: str) -> QuerySet[Rows]:
    if len(text) > _LENGTH or text.count("(") + text.count("[") > _NESTING or "\x00" in text:
        raise InvalidFilterException(detail="The filter is too long, too deep, or no text.")
    found = visitor.visit(ScimFilter(text).ast)
    narrowed: QuerySet[Rows] = rows.alias(**visitor.used).filter(found)
    return narrowed


class _Conditions(FilterVisitor[Q]):
    """Filters of one resource; `columns` are by attribute in lower case, and those met are `used`."""

    columns: Mapping[str, Column]
    schema: str

    def __init__(self) -> None:
        self.used: dict[str, Combinable] = {}

    def visit_not(self, node: Not) -> Q:
        return ~self.visit(node.expr)

    def visit_logical_expr(self, node: LogicalExpr) -> Q:
        first, *others = (self.visit(term) for term in node.terms)
        for other in others:
            first = first & other if node.op == LogicalOperator.and_ else first | other
        return first

    def visit_present(self, node: Present) -> Q:
        name, _ = self._use(node.attr_path)
        return Q(**{f"{name}__isnull": False})

    def visit_comparison(self, node: Comparison) -> Q:
        many = self._among(node.attr_path, {"value": node.value})
        if many is not None:
            if node.op != CompareOperator.eq:
                raise InvalidFilterException(detail=f"{node.attr_path} is searched by eq alone.")
            return many
        name, column = self._use(node.attr_path)
        if node.op not in column.operators:
            raise InvalidFilterException(detail=f"{node.attr_path} is not searched by {node.op}.")
        if node.value is None and node.op in _EQUAL:
            return Q(**{f"{name}__isnull": node.op == CompareOperator.eq})
        try:
            value = column.read(node.value)
        except (ValueError, TypeError, LookupError):
            raise InvalidFilterException(detail=f"{node.attr_path} never has such a value.") from None
        if node.op == CompareOperator.ne:
            return ~Q(**{name: value}) | Q(**{f"{name}__isnull": True})
        return Q(**{f"{name}__{_LOOKUPS[node.op]}": value})

    def visit_value_path(self, node: ValuePath) -> Q:
        found = self._among(node.attr_path, _equalities(node.val_filter))
        if found is None:
            raise InvalidFilterException(detail=f"{node.attr_path} has one value.")
        return found

    def _among(self, path: AttrPath, wanted: Mapping[str, Any]) -> Q | None:
        """Return the condition that one value of an attribute is as wanted; None if the attribute has one value."""
        raise NotImplementedError

    def _use(self, path: AttrPath) -> tuple[str, Column]:
        key = f"{path.attr}.{path.sub_attr}".lower() if path.sub_attr else path.attr.lower()
        column = self.columns.get(key)
        if column is None or not self._is_ours(path):
            raise InvalidFilterException(detail=f"{path} cannot be searched by.")
        name = f"scim_{key.replace('.', '_')}"
        self.used[name] = column.expression
        return name, column

    def _is_ours(self, path: AttrPath) -> bool:
        return (path.uri or self.schema).lower() == self.schema.lower()


def _equalities(node: FilterNode) -> dict[str, Any]:
    """Return what a filter of single values asks for: sub-attributes that equal something, all of them."""
    terms = node.terms if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_ else (node,)
    found: dict[str, Any] = {}
    for term in terms:
        if not isinstance(term, Comparison) or term.op != CompareOperator.eq or term.attr_path.sub_attr:
            raise InvalidFilterException(detail="Values are searched by eq, joined by and.")
        found[term.attr_path.attr.lower()] = term.value
    return found


def _refuse_unfit(values: Mapping[str, Any]) -> None:
    for value in values.values():
        try:
            fits = isinstance(value, bool) or bool(_text(value))
        except (ValueError, TypeError):
            fits = False
        if not fits:
            raise InvalidFilterException(detail="Values are searched by texts, true and false.")


def _text(value: Any) -> str:
    """Return a text that Postgres can compare with; ValueError (or TypeError) where there is none."""
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # a lone surrogate is no text
    if "\x00" in value:
        raise ValueError
    return value


def _folded(value: Any) -> str:
    return _text(value).lower()


def _uuid(value: Any) -> UUID:
    """Return an id; none that there could be is nobody's, and no error."""
    try:
        return UUID(_text(value))
    except ValueError:
        return UUID(int=0)


def _moment(value: Any) -> Any:
    found = parse_datetime(_text(value))
    if found is None:
        raise ValueError
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _status(value: Any) -> str:
    is_active = {"true": True, "false": False}[value.lower()] if isinstance(value, str) else value
    if not isinstance(is_active, bool):
        raise TypeError
    return MembershipStatus.ACTIVE if is_active else MembershipStatus.SUSPENDED


def _is_together(own: str, other: str, value: Any) -> Q:
    if not isinstance(value, str):
        raise InvalidFilterException(detail="An id is a text.")
    return Q(Exists(ScimGroupMember.objects.filter(**{own: OuterRef("pk"), other: _uuid(value)})))


def _said(*keys: str) -> Combinable:
    inside: Any = F("scim__attributes")
    for key in keys[:-1]:
        inside = KeyTransform(key, inside)
    return Lower(KeyTextTransform(keys[-1], inside))


class _OfUsers(_Conditions):
    schema = str(User.__schema__)
    columns = {
        "id": Column(F("id"), _uuid, _EQUAL),
        "username": Column(Lower(Coalesce("scim__user_name", "user__email", output_field=CharField())), _folded),
        "externalid": Column(NullIf("scim__external_id", Value("")), _text),
        "active": Column(F("status"), _status, _EQUAL),
        "displayname": Column(_said("displayName"), _folded),
        "title": Column(_said("title"), _folded),
        "name.familyname": Column(_said("name", "familyName"), _folded),
        "name.givenname": Column(_said("name", "givenName"), _folded),
        "name.formatted": Column(_said("name", "formatted"), _folded),
        "meta.created": Column(F("joined_at"), _moment, _ORDER),
        "meta.lastmodified": Column(Coalesce("scim__updated_at", "joined_at"), _moment, _ORDER),
    }

    def _among(self, path: AttrPath, wanted: Mapping[str, Any]) -> Q | None:
        name, sub = path.attr.lower(), (path.sub_attr or "value").lower()
        if sub != "value" or not self._is_ours(path):
            return None
        if name not in {"groups", "emails"}:
            return None
        _refuse_unfit(wanted)
        if name == "groups" and set(wanted) == {"value"}:
            return _is_together("membership", "group_id", wanted["value"])
        if name != "emails" or not set(wanted) <= {"value", "type", "primary"}:
            return None
        same = Q(scim__attributes__emails__contains=[dict(wanted)])
        if isinstance(wanted.get("value"), str):
            same |= Q(scim__attributes__emails__contains=[{**wanted, "value": wanted["value"].lower()}])
            if wanted.get("primary", True) is True and "type" not in wanted:
                same |= Q(scim=None, user__email=wanted["value"].lower())
        return same


class _OfGroups(_Conditions):
    schema = str(Group.__schema__)
    columns = {
        "id": Column(F("id"), _uuid, _EQUAL),
        "displayname": Column(Lower("display_name"), _folded),
        "externalid": Column(NullIf("external_id", Value("")), _text),
        "meta.created": Column(F("created_at"), _moment, _ORDER),
        "meta.lastmodified": Column(F("updated_at"), _moment, _ORDER),
    }

    def _among(self, path: AttrPath, wanted: Mapping[str, Any]) -> Q | None:
        is_value = (path.sub_attr or "value").lower() == "value" and set(wanted) == {"value"}
        if path.attr.lower() != "members" or not is_value or not self._is_ours(path):
            return None
        _refuse_unfit(wanted)
        return _is_together("group", "membership_id", wanted["value"])
