"""How SCIM is spoken: media type, bodies, queries, errors (RFC 7644). Its own formats are the contract here, and not
those of the rest of the API.
"""

from collections.abc import Mapping
from typing import IO, Any, TypeVar, cast

from django.http import HttpRequest
from pydantic import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView
from scim2_models import Context, Error, SCIMException, SearchRequest
from scim2_models import Resource as ScimResource
from scim2_models.base import BaseModel

from identity.scim import resources
from identity.scim.authentication import DirectoryAuthentication
from identity.scim.errors import ScimRefusal

MEDIA_TYPE = "application/scim+json"
_ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
# Of our codes, those that have a keyword in RFC 7644, table 9.
_SCIM_TYPES = {
    "parse_error": "invalidSyntax",
    "too_deep": "invalidSyntax",
    "validation_error": "invalidValue",
    "conflict": "uniqueness",
    "owner_protected": "mutability",
}
Found = TypeVar("Found", bound=BaseModel)


class ScimParser(BaseParser):
    """The API's own JSON, under SCIM's name for it, without the one character that Postgres keeps nowhere."""

    media_type = MEDIA_TYPE

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the body.

        Raises:
            ScimRefusal: it is no object, or has a NUL in it.
            APIException: as the API's parser.
        """
        usual: Any = api_settings.DEFAULT_PARSER_CLASSES[0]
        value = usual().parse(stream, media_type, parser_context)
        if not isinstance(value, dict):
            raise ScimRefusal("The body is a JSON object.", scim_type="invalidSyntax")
        if _has_nul(value):
            raise ScimRefusal("A text has a NUL in it.", scim_type="invalidValue")
        return value


class JSONNamedParser(ScimParser):
    """The same for those who call it JSON."""

    media_type = "application/json"


class ScimRenderer(JSONRenderer):
    """The API's own JSON, under SCIM's name for it."""

    media_type = MEDIA_TYPE
    format = "scim"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        usual: Any = api_settings.DEFAULT_RENDERER_CLASSES[0]
        return cast("bytes", usual().render(data))


class JSONNamedRenderer(ScimRenderer):
    """The same for those who accept JSON alone."""

    media_type = "application/json"
    format = "json"


class ScimView(APIView):
    """A view that speaks SCIM to a tenant's directory. What it answers is described by ``/scim/v2/Schemas``, not by the
    OpenAPI documents.

    Attributes:
        outside_tenant: methods that make accounts; see ``DirectoryAuthentication``.
    """

    schema = None
    authentication_classes = [DirectoryAuthentication]
    parser_classes = [ScimParser, JSONNamedParser]
    renderer_classes = [ScimRenderer, JSONNamedRenderer]
    outside_tenant: frozenset[str] = frozenset()

    def get_exception_handler(self) -> Any:
        """Return what gives a refusal the form of RFC 7644 section 3.12."""
        usual = super().get_exception_handler()

        def handle(error: Exception, context: dict[str, Any]) -> Response | None:
            response: Response | None = usual(_translated(error), context)
            return None if response is None else _in_scim(response, error)

        return handle


def base_of(request: HttpRequest | Request) -> str:
    """Return where ``/scim/v2`` is, for this caller."""
    return request.build_absolute_uri("/scim/v2")


def read(model: type[Found], request: Request, context: Context) -> Found:
    """Return the body as a resource, or as a change of one.

    Raises:
        ValidationError, SCIMException: it is none.
    """
    return model.model_validate(request.data, scim_ctx=context, scim_policy=resources.POLICY)


def query_of(model: type[ScimResource[Any]], request: Request) -> SearchRequest[Any]:
    """Return what a list is asked for (RFC 7644 section 3.4.2); sorting is not supported, and ignored.

    Raises:
        ValidationError, SCIMException: a parameter is none.
    """
    names = ("attributes", "excludedAttributes", "startIndex", "count")
    given = {name: request.query_params[name] for name in names if name in request.query_params}
    search: Any = SearchRequest
    found: SearchRequest[Any] = search[model].model_validate(given, scim_policy=resources.POLICY)
    return found


def answer(resource: Any, request: Request, *, status: int = 200) -> Response:
    """Return the response that shows a resource, with its version; 304 where the caller has this one already.

    Raises:
        ValidationError: a parameter is none.
    """
    query = query_of(type(resource), request)
    version = resource.meta.version
    headers = {"ETag": version} if version else {}
    known = request.headers.get("If-None-Match")
    if known and version and request.method == "GET":
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        if version.removeprefix("W/") in tags or known.strip() == "*":
            return Response(status=304, headers=headers)
    if status == 201:
        headers["Location"] = resource.meta.location
    return Response(shown(resource, query), status=status, headers=headers)


def shown(resource: Any, query: SearchRequest[Any]) -> dict[str, Any]:
    """Return a resource with those attributes that are asked for."""
    found: dict[str, Any] = resource.model_dump(
        scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=query, scim_policy=resources.POLICY
    )
    return found


def _translated(error: Exception) -> Exception:
    if isinstance(error, SCIMException):
        lines = [line.strip() for line in error.detail.splitlines() if "For further information" not in line]
        return ScimRefusal(" ".join(lines), scim_type=error.scim_type, status_code=error.status)
    if isinstance(error, ValidationError):
        first = Error.from_validation_errors(error)[0]
        return ScimRefusal(first.detail or "", scim_type=first.scim_type or "invalidValue")
    return error


def _in_scim(response: Response, error: Exception) -> Response:
    body = response.data
    keyword = getattr(_translated(error), "scim_type", "") or _SCIM_TYPES.get(body["code"], "")
    details = [body["detail"], *(each["detail"] for each in body.get("errors", []))]
    response.data = {
        "schemas": [_ERROR],
        "status": str(response.status_code),
        **({"scimType": keyword} if keyword else {}),
        "detail": " ".join(details),
    }
    response.content_type = MEDIA_TYPE
    return response


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for part in (*value.keys(), *value.values()))
    return isinstance(value, list) and any(map(_has_nul, value))
