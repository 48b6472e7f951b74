"""The OpenAPI documents: what drf-spectacular cannot know is scopes, problems, and that there are two APIs."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import ModelSerializer

from config import problems
from permissions import endpoints

FOLDER = Path(__file__).parent / "schemas"

_INTRODUCTION = """
**Hosts.** {hosts}

**Tokens.** Sign in, then send `Authorization: Bearer <access token>`. An access token lives for minutes and says which
scopes it holds; every operation names the scopes it needs. A refresh token is good once.

**Errors.** Every refusal is a problem detail (RFC 9457): decide by its `code`, which never changes. What each code
means is at [/docs/problems](/docs/problems).

**Limits.** Every answer says in `RateLimit` how much of the caller's limits is left; beyond one comes a 429, whose
`Retry-After` says when to go on.

**Lists** come in pages: `limit` items (20 unless you say otherwise, 100 at most), and `next` and `previous` as whole
URLs.
"""


@dataclass(frozen=True)
class Document:
    """One OpenAPI document: its name in URLs and files, its title, and what it covers."""

    name: str
    title: str
    hosts: str

    @property
    def file(self) -> Path:
        return FOLDER / f"{self.name}.json"

    @property
    def description(self) -> str:
        return _INTRODUCTION.format(hosts=self.hosts).strip()


TENANT = Document(
    "tenant",
    "Tenantry tenant API",
    "A tenant answers on its own host, such as `acme.localhost`. On an API host, the token says which tenant is meant.",
)
OPERATOR = Document(
    "operator",
    "Tenantry operator API",
    "For platform staff, on the API hosts, or on one host of its own. Tenant tokens are refused here.",
)
DOCUMENTS = {document.name: document for document in (TENANT, OPERATOR)}

_SUMMARIES = {
    "list": "List {plural}",
    "retrieve": "See {one}",
    "create": "Create {one}",
    "update": "Replace {one}",
    "partial_update": "Change {one}",
    "destroy": "Delete {one}",
}


def article(noun: str) -> str:
    """Return the article that goes before a noun: by its first letters, because nobody hears it here."""
    return "an" if re.match(r"[aeio]|u(?!ni|s[aeiu]|ti)", noun) else "a"


def generate(document: Document) -> str:
    """Return a document as JSON text.

    Raises:
        RuntimeError: drf-spectacular had to guess; the message says where.
    """
    from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiJsonRenderer
    from drf_spectacular.settings import patched_settings

    from config import urls_api, urls_operator

    patterns = urls_operator.operator_api if document is OPERATOR else urls_api.urlpatterns
    with patched_settings({"TITLE": document.title, "DESCRIPTION": document.description}):
        reset_generator_stats()
        generator: Any = SchemaGenerator  # has no types
        schema = generator(patterns=patterns).get_schema(request=None, public=True)
        if GENERATOR_STATS:
            GENERATOR_STATS.emit_summary()
            raise RuntimeError(f"The {document.name} document was generated with warnings.")
    return json.dumps(json.loads(OpenApiJsonRenderer().render(schema, renderer_context={})), indent=2) + "\n"


class ScopedAutoSchema(AutoSchema):
    """An operation with the scopes it needs and the problems it can end in."""

    def get_operation(
        self, path: str, path_regex: str, path_prefix: str, method: str, registry: Any
    ) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(path, path_regex, path_prefix, method, registry)
        if operation is None:
            return None
        if path.startswith("/operator/") and not operation["operationId"].startswith("operator_"):
            operation["operationId"] = (
                f"operator_{operation['operationId']}"  # so that no two of both APIs are called the same
            )
        scopes = sorted(self._scopes())
        needs = "Needs " + " and ".join(f"`{scope}`" for scope in scopes) + "." if scopes else "Public."
        operation["description"] = f"{operation.get('description', '')}\n\n{needs}".strip()
        operation["x-required-scopes"] = scopes
        operation.setdefault("security", [])
        for status in self._refusals(operation, path):
            operation["responses"][status] = {"$ref": f"#/components/responses/{_RESPONSES[status][0]}"}
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def get_summary(self) -> str | None:
        """Return what a view of the usual actions does, from its model's name."""
        model = getattr(getattr(getattr(self.view, "serializer_class", None), "Meta", None), "model", None)
        template = _SUMMARIES.get(getattr(self.view, "action", ""))
        if model is None or template is None:
            return None
        name = str(model._meta.verbose_name)
        return template.format(one=f"{article(name)} {name}", plural=model._meta.verbose_name_plural)

    def _map_basic_serializer(self, serializer: Any, direction: Literal["request", "response"]) -> dict[str, Any]:
        """Say of an answer that it has every field of a model, those that a request may leave out as well."""
        schema: dict[str, Any] = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        kind = serializer if isinstance(serializer, type) else type(serializer)
        if direction == "response" and issubclass(kind, ModelSerializer):
            schema["required"] = sorted(schema["properties"])
        return schema

    def _scopes(self) -> frozenset[str]:
        key = endpoints.handler_key(self.view, self.method)
        return endpoints.declared(type(self.view)).get(key or "", frozenset())

    def _refusals(self, operation: Mapping[str, Any], path: str) -> set[str]:
        protected = bool(self._scopes())
        writes = self.method != "GET"
        takes_input = "requestBody" in operation or any(p["in"] == "query" for p in operation.get("parameters", []))
        return {
            *(["400"] if takes_input else []),
            *(["401", "403"] if protected or writes else []),
            *(["404"] if "{" in path else []),
            *(["409"] if protected and writes else []),
            "429",
        }


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its registration hook has no types
    """How a token is sent; the scopes are the operation's own (OpenAPI 3.1 allows them on any scheme)."""

    target_class = "identity.tokens.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}

    def get_security_requirement(self, auto_schema: AutoSchema) -> dict[str, list[str]] | list[Any]:
        scopes = sorted(auto_schema._scopes()) if isinstance(auto_schema, ScopedAutoSchema) else []  # noqa: SLF001 -- ours
        return {self.name: scopes} if scopes else []


class OperatorBearerScheme(BearerScheme):  # type: ignore[no-untyped-call]  # as above
    """The same for operator tokens, which are others."""

    target_class = "operators.backends.OperatorAuthentication"
    name = "operatorBearer"


_CHALLENGE = {
    "WWW-Authenticate": {"description": "RFC 6750: what went wrong, for programs.", "schema": {"type": "string"}}
}
_LIMITS = {
    "Retry-After": {"description": "Seconds until the next one is answered.", "schema": {"type": "integer"}},
    "RateLimit-Policy": {
        "description": "draft-ietf-httpapi-ratelimit-headers: the limits this was counted against.",
        "schema": {"type": "string"},
        "example": '"principal";q=1200;w=60',
    },
    "RateLimit": {
        "description": "The same draft: how much of each is left, and in how many seconds there is more.",
        "schema": {"type": "string"},
        "example": '"principal";r=0;t=7',
    },
}
# By status: the component's name, its description, its headers.
_RESPONSES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "400": ("BadRequest", "The input is not valid; `errors` says where.", {}),
    "401": ("Unauthorized", "No credentials, or credentials that are no good (any more).", _CHALLENGE),
    "403": ("Forbidden", "The caller may not do this; `scope` says what is missing, if that is it.", _CHALLENGE),
    "404": ("NotFound", "There is no such thing in this tenant.", {}),
    "409": ("Conflict", "This contradicts what is there.", {}),
    "429": ("TooManyRequests", "Too many requests of this kind, or too many wrong passwords.", _LIMITS),
}
_TEXT = {"type": "string"}
_PROBLEM = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "What the code means, for people."},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for people."},
        "code": {"type": "string", "description": "What happened, for programs."},
        "scope": {"type": "string", "description": "With `insufficient_scope`: the missing scopes."},
        "errors": {
            "type": "array",
            "description": "With `validation_error`: each single error.",
            "items": {
                "type": "object",
                "required": ["code", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer into the body."},
                    "parameter": {"type": "string", "description": "Name of a query parameter."},
                    "code": _TEXT,
                    "detail": _TEXT,
                },
            },
        },
    },
}


def add_problems(result: dict[str, Any], **context: Any) -> dict[str, Any]:
    """Add the components that every operation's refusals refer to (a postprocessing hook of drf-spectacular)."""
    components = result["components"]
    components["schemas"] = dict(sorted({**components.get("schemas", {}), "Problem": _PROBLEM}.items()))
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    components["responses"] = {
        name: {"description": description, **({"headers": headers} if headers else {}), "content": content}
        for name, description, headers in _RESPONSES.values()
    }
    return result
