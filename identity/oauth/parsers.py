"""Reading the forms of OAuth (RFC 6749 appendix B)."""

from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from rest_framework.parsers import BaseParser

from identity.tokens.errors import InvalidRequest

_MAXIMUM_BYTES = 64 * 1024
_MAXIMUM_FIELDS = 50


class StrictFormParser(BaseParser):
    """``application/x-www-form-urlencoded`` in UTF-8, with no parameter twice (RFC 6749 section 3.2)."""

    media_type = "application/x-www-form-urlencoded"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Return the parameters; those without a value are left out.

        Raises:
            InvalidRequest: it is no such form.
        """
        body: bytes = stream.read(_MAXIMUM_BYTES + 1)
        if len(body) > _MAXIMUM_BYTES:
            raise InvalidRequest("The form is too large.")
        return read_form(body)


def read_form(body: bytes) -> dict[str, str]:
    """Return the parameters of a form, or of a query string; those without a value are left out.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAXIMUM_FIELDS)
    except ValueError:
        raise InvalidRequest("This is no form in UTF-8.") from None
    if len(dict(pairs)) != len(pairs):
        raise InvalidRequest("A parameter may be sent once.")
    if any("\0" in value for _, value in pairs):
        raise InvalidRequest("A parameter has a null character.")
    return {name: value for name, value in pairs if value}
