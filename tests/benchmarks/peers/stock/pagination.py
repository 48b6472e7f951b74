from rest_framework import pagination


class CursorPagination(pagination.CursorPagination):
    """The tuned peer's pages, which count nothing."""

    ordering = "-created_at"
