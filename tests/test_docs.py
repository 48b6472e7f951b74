"""What is documented is what is enforced, and the pages need nobody else's server."""

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from openapi_spec_validator import OpenAPIV31SpecValidator
from rest_framework.exceptions import APIException

from config import openapi, problem_codes
from config.openapi import DOCUMENTS, Document
from identity.browser.pages import Page
from identity.oidc.callbacks import CallbackView
from permissions import endpoints
from tests.conftest import ACME, API_HOST, Call

_FOR_BROWSERS = (Page, CallbackView)  # and not for programs: they are not in the documents


def load(document: Document) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(document.file.read_text())
    return loaded


def operations(document: Document) -> dict[tuple[str, str], dict[str, Any]]:
    """The document's operations, by method and route as Django spells it."""
    return {
        (method.upper(), path.lstrip("/")): operation
        for path, methods in load(document)["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_documents_are_valid_and_committed(document: Document) -> None:
    """OpenAPI 3.1, generated without a warning, the same as the committed file."""
    assert load(document)["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(load(document)).validate()
    assert openapi.generate(document) == document.file.read_text()


def test_drift_is_found(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(openapi, "FOLDER", tmp_path)
    call_command("generate_openapi")
    call_command("generate_openapi", check=True)
    (tmp_path / "tenant.json").write_text(openapi.TENANT.file.read_text().replace("See oneself", "Look"))
    with pytest.raises(CommandError, match="tenant"):
        call_command("generate_openapi", check=True)
    assert '+        "summary": "See oneself",' in capsys.readouterr().out


def test_every_operation_shows_the_scopes_it_needs() -> None:
    """For each routed endpoint and method, the document and the declaration say the same."""
    documented = {key: operation for document in DOCUMENTS.values() for key, operation in operations(document).items()}
    seen = set()
    for endpoint in endpoints.endpoints(settings.ROOT_URLCONF):
        if endpoint.route.startswith("scim/"):  # SCIM describes itself, at /scim/v2/Schemas
            continue
        if endpoint.view is not None and issubclass(endpoint.view, _FOR_BROWSERS):
            continue
        for method in endpoint.keys:
            key = (method, re.sub(r"<\w+:(\w+)>", r"{\1}", endpoint.route).replace("{pk}", "{id}"))
            operation = documented[key]
            seen.add(key)
            required = [] if endpoint.is_public else sorted(endpoint.required(method))
            assert operation["x-required-scopes"] == required, key
            scheme = "operatorBearer" if endpoint.route.startswith("operator/") else "bearer"
            assert operation["security"] == ([{scheme: required}] if required else []), key
            assert all(scope in operation["description"] for scope in required), key
            assert ("401" in operation["responses"]) >= bool(required), key
    assert seen == documented.keys()


def test_every_operation_is_described() -> None:
    for document in DOCUMENTS.values():
        ids = [operation["operationId"] for operation in operations(document).values()]
        assert len(ids) == len(set(ids))
        for key, operation in operations(document).items():
            assert operation.get("summary"), key
            assert len(operation["description"]) > len("Public."), key


def test_documents_are_served_by_host(call: Call) -> None:
    """A tenant's host does not know that there are operators; answers can be cached and revalidated."""
    assert call("nobody", "GET", "/docs/operator.json", host=ACME).status_code == 404
    assert b"operator" not in call("nobody", "GET", "/docs", host=ACME).content
    response = call("nobody", "GET", "/docs/operator.json", host=API_HOST)
    assert response.json() == load(openapi.OPERATOR)
    assert "max-age=300" in response.headers["Cache-Control"]
    again = call("nobody", "GET", "/docs/operator.json", host=API_HOST, HTTP_IF_NONE_MATCH=response.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert call("nobody", "GET", "/docs/nothing.json", host=API_HOST).json()["code"] == "not_found"


@pytest.mark.parametrize("path", ["/docs", "/docs/problems"])
def test_pages_need_nobody_elses_server(call: Call, path: str) -> None:
    response = call("nobody", "GET", path, host=API_HOST)
    page = response.content.decode()
    policy = response.headers["Content-Security-Policy"]
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "<script>" not in page
    files = re.findall(r'"/static/([^"]+)"', page)
    assert files
    for file in files:
        assert finders.find(file), file


def test_every_code_has_its_place_on_the_problems_page(call: Call) -> None:
    """Each error class of the product, wherever it is defined, and the anchor that ``type`` points to."""
    page = call("nobody", "GET", "/docs/problems", host=API_HOST).content.decode()
    listed = {entry.code for entry in problem_codes.codes()}
    ours = {
        str(error.default_code)
        for error in _subclasses(APIException)
        if error.__module__.split(".")[0] in {"config", "operators", "identity", "tenants", "permissions"}
    }
    assert ours <= listed
    for code in listed:
        assert f'id="{code}"' in page
    problem = call("acme_viewer", "DELETE", "/api/v1/projects/00000000-0000-4000-8000-000000000000").json()
    assert problem["type"] == f"{settings.ISSUER}/docs/problems#insufficient_scope"


def _subclasses(base: type[APIException]) -> set[type[APIException]]:
    return {base, *(found for child in base.__subclasses__() for found in _subclasses(child))}
