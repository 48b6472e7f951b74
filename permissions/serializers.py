"""Serializers that accept what they declare and nothing else.

A field that is not declared, or may only be read, is refused instead of ignored: a client learns of its typo, and
nobody sets by accident what they may not set (OWASP API3:2023, broken object property level authorization).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, cached_property
from operator import attrgetter
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db.models import Model
from django.utils import timezone
from rest_framework import ISO_8601, serializers
from rest_framework.fields import empty
from rest_framework.settings import api_settings

_Field = serializers.Field[Any, Any, Any, Any]


class StrictFieldsMixin:
    """Refuse unknown and read-only fields in the input of a serializer."""

    def run_validation(self, data: Any = empty) -> Any:
        if isinstance(data, dict):
            fields: dict[str, _Field] = self.fields  # type: ignore[attr-defined]  # a serializer's
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

    def get_fields(self) -> dict[str, _Field]:
        """Return copies of the declared fields."""
        return {name: _copied(field) for name, field in self._declared_fields.items()}


class StrictModelSerializer(StrictFieldsMixin, serializers.ModelSerializer[Any]):
    """``ModelSerializer`` that refuses fields it does not declare.

    What fields its model makes, and what it shows of a row, is worked out once for the class where that is the same for
    all: DRF makes every field anew for every request, which takes longer than reading the row.
    """

    def get_fields(self) -> dict[str, _Field]:
        """Return fields of this serializer's own, as declared and as the model says."""
        made = _made.get(type(self))
        if made is None:
            made = super().get_fields()
            if any(getattr(type(self), name) is not getattr(StrictModelSerializer, name) for name in _MAKING_FIELDS):
                return made
            _made[type(self)] = made
        return {name: _copied(field) for name, field in made.items()}

    def to_representation(self, instance: Any) -> Any:
        shown = _shown_by(type(self)) if isinstance(instance, Model) and "fields" not in vars(self) else None
        if shown is None:
            return super().to_representation(instance)
        in_utc = self._shows_utc
        found = {}
        for name, read, show, is_time in shown:
            value = read(instance)
            if value is None or show is None:
                found[name] = value
            elif is_time and in_utc and value.__class__ is datetime and value.tzinfo is UTC:
                found[name] = value.isoformat()[:-6] + "Z"
            else:
                found[name] = show(value)
        return found

    @cached_property
    def _shows_utc(self) -> bool:
        """Whether times are shown in UTC: DRF asks that anew for each value, which takes longer than showing it."""
        return bool(settings.USE_TZ) and str(timezone.get_current_timezone()) == "UTC"


_Show = Callable[[Any], Any] | None
_Shown = list[tuple[str, Callable[[Any], Any], _Show, bool]]

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
_COPIED = _PLAIN | {serializers.PrimaryKeyRelatedField}
_OVERRIDABLE = ("__init__", "__new__", "fields", "get_fields", "_readable_fields")


# What a subclass may have its own way of making fields by.
_MAKING_FIELDS = (
    "build_field", "build_nested_field", "build_property_field", "build_relational_field", "build_standard_field",
    "build_unknown_field", "build_url_field", "get_default_field_names", "get_extra_kwargs", "get_field_names",
    "get_uniqueness_extra_kwargs", "include_extra_kwargs",
)  # fmt: skip
_made: WeakKeyDictionary[type[StrictModelSerializer], dict[str, _Field]] = WeakKeyDictionary()


def _copied(field: _Field) -> _Field:
    """Return a field that may be bound and changed: as ``deepcopy`` does, which runs the field's constructor again."""
    if type(field) not in _COPIED:
        return copy.deepcopy(field)
    found: _Field = object.__new__(type(field))
    for name, value in vars(field).items():
        vars(found)[name] = value.copy() if type(value) in (dict, list) else value
    return found


@cache  # one for each class
def _shown_by(serializer: type[StrictModelSerializer]) -> _Shown | None:
    """Return each field's name, how its value is read off a row, how that is shown, and whether it is a time in ISO
    8601 and the current time zone; None if a field, or the class, may depend on anything else.
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
            found.append((name, attrgetter(column), None, False))
        elif type(field) in _PLAIN and column == field.source:
            found.append((name, attrgetter(column), _showing(field), _is_time(field)))
        else:
            return None
    return found


def _showing(field: _Field) -> Callable[[Any], Any]:
    """Return how a value is shown; what the field itself would only pass it on to."""
    is_text = type(field) is serializers.CharField
    if is_text or (type(field) is serializers.UUIDField and field.uuid_format == "hex_verbose"):
        return str
    return field.to_representation


def _is_time(field: _Field) -> bool:
    if type(field) is not serializers.DateTimeField or {"format", "default_timezone"} & vars(field)["_kwargs"].keys():
        return False
    form = api_settings.DATETIME_FORMAT
    return isinstance(form, str) and form.lower() == ISO_8601
