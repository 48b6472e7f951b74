"""Which form an answer has, without working it out where there is one form and nobody asks for another."""

from collections.abc import Sequence

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class FastContentNegotiation(DefaultContentNegotiation):
    """DRF's, which parses media types for every request: also where the client names the very one that there is, or
    takes anything.
    """

    def select_renderer(  # type: ignore[override]  # views hand over a list
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer to use, and the media type that it is asked for.

        Raises:
            NotAcceptable: the client takes nothing that there is.
        """
        only = renderers[0]
        if (
            len(renderers) == 1
            and format_suffix is None
            and request.META.get("HTTP_ACCEPT", "*/*") in ("*/*", only.media_type)
            and not request.META.get("QUERY_STRING")  # it may name a format
        ):
            return only, str(only.media_type)
        found: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return found
