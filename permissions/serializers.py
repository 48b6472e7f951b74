"""Serializers that accept what they declare and nothing else.

A field that is not declared, or may only be read, is refused instead of ignored: a client learns of its typo, and
nobody sets by accident what they may not set (OWASP API3:2023, broken object property level authorization).
"""

from typing import Any

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
    """``ModelSerializer`` that refuses fields it does not declare."""
