"""Lists: pages by cursor, ordering by declared fields, and a clear answer to a parameter that is neither."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core import signing
from django.db.models import QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

if TYPE_CHECKING:  # DRF imports this module while it imports APIView
    from rest_framework.views import APIView

_SALT = "tenantry.cursor"
_OF_ONE_ROW = ("retrieve", "update", "partial_update", "destroy")  # DRF's names of a viewset's actions


class SignedCursorPagination(CursorPagination):
    """Cursor pages whose cursors are signed, together with the order they belong to.

    DRF's own cursors are plain text: a made-up position ends in a query that the database refuses, which is a 500.
    """

    page_size = 20
    max_page_size = 100
    page_size_query_param = "limit"
    ordering = ("-created_at",)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> tuple[str, ...]:
        """Return the order of the list, made total by the primary key: no row is skipped or shown twice."""
        fields = tuple(super().get_ordering(request, queryset, view))
        return fields if {"pk", "id", "-pk", "-id"} & set(fields) else (*fields, "id")

    def get_page_size(self, request: Request) -> int:
        raw = request.query_params.get("limit")
        if raw is None:
            return self.page_size
        if not raw.isascii() or not raw.isdigit() or len(raw) > 4 or not 1 <= int(raw) <= self.max_page_size:
            raise ValidationError({"limit": [f"Use a number from 1 to {self.max_page_size}."]}, code="invalid_limit")
        return int(raw)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return how the OpenAPI document describes the parameters of a page."""
        limit = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        return [
            _parameter("limit", "How many items a page has.", limit),
            _parameter("cursor", "Where a page begins: follow `next` and `previous` instead of making one up."),
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return how the OpenAPI document (3.1, which has no `nullable`) describes a page."""
        return {
            "type": "object",
            "description": "One page of a list.",
            "required": ["next", "previous", "results"],
            "properties": {
                "next": _link("The page after this one; null on the last one."),
                "previous": _link("The page before this one; null on the first one."),
                "results": schema,
            },
        }

    def decode_cursor(self, request: Request) -> Cursor | None:
        raw = request.query_params.get("cursor")
        if raw is None:
            return None
        try:
            order, offset, reverse, position = signing.loads(raw, salt=_SALT)
        except (signing.BadSignature, ValueError, TypeError):
            order = None
        if order != list(self.ordering):
            raise ValidationError(
                {"cursor": ["This cursor was not issued for this list in this order."]}, code="invalid_cursor"
            )
        return Cursor(offset=offset, reverse=reverse, position=position)

    def encode_cursor(self, cursor: Cursor) -> str:
        content = [list(self.ordering), cursor.offset, cursor.reverse, cursor.position]
        signed = signing.dumps(content, salt=_SALT, compress=True)
        return replace_query_param(str(self.base_url), self.cursor_query_param, signed)


class StrictOrderingFilter(OrderingFilter):
    """Ordering by the fields that a view names; another one is an error, not a shrug. One row has no order."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        if getattr(view, "action", None) in _OF_ONE_ROW and not request.query_params:
            return queryset
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: APIView) -> Any:
        raw = request.query_params.get(self.ordering_param)
        if raw is not None:
            names = [name.strip() for name in raw.split(",")]
            valid = self.remove_invalid_fields(queryset, names, view, request)
            if names != valid:
                fields = ", ".join(name for name, _ in self.get_valid_fields(queryset, view, {"request": request}))
                raise ValidationError(
                    {"ordering": [f"Use one or more of: {fields}; a leading minus turns the order round."]},
                    code="invalid_ordering",
                )
        return super().get_ordering(request, queryset, view)

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Return how the OpenAPI document describes the parameter."""
        fields = ", ".join(f"`{field}`" for field in getattr(view, "ordering_fields", ()))
        return [_parameter(self.ordering_param, f"One or more of {fields}; a leading minus turns the order round.")]


def _link(description: str) -> dict[str, Any]:
    return {"type": ["string", "null"], "format": "uri", "description": description, "example": None}


def _parameter(name: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": schema or {"type": "string"},
    }
