"""Filters of lists that cost nothing where nobody filters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.filters import SearchFilter

if TYPE_CHECKING:  # DRF imports this module while it imports APIView
    from django.db.models import QuerySet
    from rest_framework.request import Request
    from rest_framework.views import APIView

_made: dict[type, type[FilterSet] | None] = {}


class ViewFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # django-filter has no types
    """django-filter's backend, which makes the class of a view's filters anew for every request, be it of one object
    and without a filter. A view says which filters it has in its class.
    """

    def get_filterset_class(self, view: APIView, queryset: QuerySet[Any] | None = None) -> type[FilterSet] | None:
        if queryset is None:
            found: type[FilterSet] | None = super().get_filterset_class(view, queryset)
            return found
        if type(view) not in _made:
            _made[type(view)] = super().get_filterset_class(view, queryset)
        return _made[type(view)]

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        if not request.query_params and getattr(view, "filterset_class", None) is None:
            return queryset
        filtered: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return filtered


class ViewSearchFilter(SearchFilter):
    """DRF's search, which makes and runs a field to validate a term that nobody sent."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        if self.search_param not in request.query_params:
            return queryset
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found
