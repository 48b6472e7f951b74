"""Serializers that accept what they declare and nothing else.

A field that is not declared, or may only be read, is refused instead of ignored: a client learns of its typo, and
nobody sets by accident what they may not set (OWASP API3:2023, broken object property level authorization).
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

from django.db.models import Model
from rest_framework import serializers
from rest_framework.fields import empty


class StrictFieldsMixin:
    """Refuse unknown and read-only fields in the input of a serializer."""

    def run_validation(self, data: Any = empty) -> Any:
        if isinstance(data, dict):
            fields: dict[str, serializers.Field[Any, Any, Any, Any]] = self.fields  # type: ignore[attr-defined]  # a serializer's
            errors = {
                name: [serializers.ErrorDetail("This field can only be read.", code="read_only")]
                if name in fields
                else [serializers.ErrorDetail("There is no such field.", code="unknown_field")]
                for name in data
                if name not in fields or fields[name].read_only
            }
            if errors:
                raise serializers.ValidationError(errors)
        return super().run_validation(data)  # type: ignore[misc]  # a serializer's


class StrictSerializer(StrictFieldsMixin, serializers.Serializer[Any]):
    """``Serializer`` that refuses fields it does not declare."""


class StrictModelSerializer(StrictFieldsMixin, serializers.ModelSerializer[Any]):
    """``ModelSerializer`` that refuses fields it does not declare.

    What it shows of a row is worked out once for the class where that is the same for all: DRF makes every field anew
    for every row that is asked for alone, which takes longer than reading it.
    """

    def to_representation(self, instance: Any) -> Any:
        shown = _shown_by(type(self)) if isinstance(instance, Model) and "fields" not in vars(self) else None
        if shown is None:
            return super().to_representation(instance)
        found = {}
        for name, read, show in shown:
            value = read(instance)
            found[name] = value if value is None or show is None else show(value)
        return found


_Shown = list[tuple[str, Callable[[Any], Any], Callable[[Any], Any] | None]]

# Fields that look at nothing but the value.
_PLAIN = {
    serializers.BooleanField,
    serializers.CharField,
    serializers.ChoiceField,
    serializers.DateField,
    serializers.DateTimeField,
    serializers.DecimalField,
    serializers.EmailField,
    serializers.FloatField,
    serializers.IntegerField,
    serializers.JSONField,
    serializers.SlugField,
    serializers.URLField,
    serializers.UUIDField,
}
_OVERRIDABLE = ("__init__", "__new__", "fields", "get_fields", "_readable_fields")


@cache  # one for each class
def _shown_by(serializer: type[StrictModelSerializer]) -> _Shown | None:
    """Return each field's name, how its value is read off a row, and how that is shown; None if a field, or the class,
    may depend on anything else.
    """
    if any(getattr(serializer, name) is not getattr(StrictModelSerializer, name) for name in _OVERRIDABLE):
        return None
    model: type[Model] = serializer.Meta.model
    columns = {column.name: column.attname for column in model._meta.concrete_fields}
    found: _Shown = []
    for name, field in serializer().fields.items():
        column = columns.get(str(field.source))
        if field.write_only:
            continue
        if column is None:
            return None
        if type(field) is serializers.PrimaryKeyRelatedField and field.pk_field is None:
            found.append((name, attrgetter(column), None))
        elif type(field) in _PLAIN and column == field.source:
            found.append((name, attrgetter(column), field.to_representation))
        else:
            return None
    return found
