"""Reading request bodies without trusting them."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: linear, whatever comes
_BRACKET = re.compile(rb"[\[\]{}]")


class BodyTooLarge(APIException):
    """413: the body is larger than ``settings.MAX_BODY_BYTES``."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "body_too_large"

    def __init__(self) -> None:
        super().__init__(f"The body may have at most {settings.MAX_BODY_BYTES} bytes.")


class StrictJSONParser(BaseParser):
    """JSON as RFC 8259 and RFC 7493 (I-JSON) say: UTF-8, no NaN, no member twice, no lone surrogates; bounded in size
    and depth, so that no body costs more than its length.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the value of the body.

        Raises:
            BodyTooLarge: it is larger than allowed, whatever Content-Length says.
            ParseError: it is no such JSON.
        """
        body: bytes = stream.read(settings.MAX_BODY_BYTES + 1)
        if len(body) > settings.MAX_BODY_BYTES:
            raise BodyTooLarge
        if _depth_exceeds(body, settings.MAX_JSON_DEPTH):
            raise ParseError(f"JSON may be nested {settings.MAX_JSON_DEPTH} levels deep.", code="too_deep")
        try:
            text = body.decode("utf-8")
            value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_members)
            if "\\u" in text:  # only an escape can smuggle a lone surrogate through valid UTF-8
                json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeError:
            raise ParseError("The body is not valid UTF-8.") from None
        except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError, too
            raise ParseError(f"The body is not valid JSON: {error}") from error
        return value


def _depth_exceeds(body: bytes, limit: int) -> bool:
    """Tell whether brackets outside strings nest deeper than `limit`, before any parser recurses into them."""
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > limit:
            return True
    return False


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("an object has two members of the same name")
    return members


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
