"""Nothing is open by accident: the start-up check, and the table of rights that it guards."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django.urls import clear_url_caches, path
from django.views.generic import View
from rest_framework.decorators import api_view
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from permissions import endpoints, policy
from permissions.checks import TAG
from permissions.decorators import require_scopes
from permissions.endpoints import Endpoint
from permissions.policy import Grant
from permissions.principals import Kind
from permissions.roles import OperatorRole, Role
from permissions.scopes import Scope
from tests.conftest import ACME, Call

GOLDEN = Path(__file__).parent / "golden" / "scopes.txt"
ROOT = Path(__file__).parents[1]


class Answering(APIView):
    """A view without a declaration."""

    def get(self, request: Request) -> Response:
        return Response("reached")

    def post(self, request: Request) -> Response:
        return Response("reached")


def view(**attributes: Any) -> type[APIView]:
    return type("Probe", (Answering,), attributes)


@contextmanager
def routed(*callbacks: Any, public: frozenset[str] = frozenset()) -> Iterator[list[Any]]:
    """Run the check on a project of just these views, at ``probe/0``, ``probe/1`` and so on."""
    urlconf = ModuleType("tests.probe_urls")
    urlconf.urlpatterns = [  # type: ignore[attr-defined]  # made at run time
        path(f"probe/{index}", callback) for index, callback in enumerate(callbacks)
    ]
    sys.modules[urlconf.__name__] = urlconf
    with override_settings(URLCONFS=[urlconf.__name__], PUBLIC_ENDPOINTS=public):
        clear_url_caches()
        yield run_checks(tags=[TAG])


def ids(*callbacks: Any, public: frozenset[str] = frozenset()) -> list[str]:
    with routed(*callbacks, public=public) as errors:
        return [error.id for error in errors]


BOTH = {"GET": "tenant:read", "POST": "tenant:write"}


def test_the_project_itself_passes() -> None:
    """And has something to check."""
    assert run_checks(tags=[TAG]) == []
    assert len(list(endpoints.endpoints(settings.ROOT_URLCONF))) > 20


def _declaring() -> list[Endpoint]:
    routes = {
        endpoint.view: endpoint
        for urlconf in settings.URLCONFS
        for endpoint in endpoints.endpoints(urlconf)
        if endpoint.view is not None and not endpoint.is_public
    }
    return list(routes.values())


@pytest.mark.parametrize("endpoint", _declaring(), ids=lambda endpoint: endpoint.view.__name__)
def test_removing_any_declaration_is_refused(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, or for a single method or action: the project does not start."""
    declared = dict(endpoint.view.scopes)  # type: ignore[union-attr]  # chosen for having one
    monkeypatch.setattr(endpoint.view, "scopes", None)
    assert "permissions.E003" in {error.id for error in run_checks(tags=[TAG])}
    for key in declared:
        rest = {other: scopes for other, scopes in declared.items() if other != key}
        monkeypatch.setattr(endpoint.view, "scopes", rest)
        assert {error.id for error in run_checks(tags=[TAG])} & {"permissions.E003", "permissions.E005"}, key


def test_a_complete_declaration_passes() -> None:
    assert ids(view(scopes=BOTH).as_view()) == []


@pytest.mark.parametrize(
    ("callback", "error"),
    [
        (view().as_view(), "permissions.E003"),
        (view(scopes={}).as_view(), "permissions.E003"),
        (view(scopes={"GET": "tenant:read"}).as_view(), "permissions.E005"),
        (view(scopes=BOTH | {"PUT": "tenant:write"}).as_view(), "permissions.E006"),
        (view(scopes=BOTH | {"get": "tenant:read"}).as_view(), "permissions.E006"),
        (view(scopes=BOTH | {"GET": ()}).as_view(), "permissions.E007"),
        (view(scopes=BOTH, recent_sign_in={"DELETE"}).as_view(), "permissions.E010"),
        (view(scopes=BOTH | {"GET": "tenant:raed"}).as_view(), "permissions.E008"),
        (view(scopes=BOTH | {"GET": "platform:tenants:read"}).as_view(), "permissions.E009"),
        (view(scopes=BOTH, authentication_classes=[]).as_view(), "permissions.E009"),
        (view(scopes=BOTH, permission_classes=[AllowAny]).as_view(), "permissions.E004"),
        (view(scopes=BOTH, permission_classes=[]).as_view(), "permissions.E004"),
        (api_view(["GET"])(lambda _: Response()), "permissions.E003"),
        (lambda _: Response(), "permissions.E003"),
        (View.as_view(), "permissions.E003"),
        (require_scopes(GET="tenant:read")(api_view(["GET", "POST"])(lambda _: Response())), "permissions.E005"),
    ],
)
def test_an_incomplete_or_undermined_declaration_is_refused(callback: Any, error: str) -> None:
    assert error in ids(callback)


def test_a_viewset_declares_its_actions() -> None:
    """What counts are the actions that are routed, over all routes together."""

    class Probe(ViewSet):
        scopes = {"list": "tenant:read", "create": "tenant:write"}

        def list(self, request: Request) -> Response:
            return Response()

        def create(self, request: Request) -> Response:
            return Response()

    assert ids(Probe.as_view({"get": "list"}), Probe.as_view({"post": "create"})) == []
    assert ids(Probe.as_view({"get": "list"})) == ["permissions.E006"]
    assert ids(Probe.as_view({"get": "list", "post": "create", "put": "update"})) == ["permissions.E005"]


def test_the_public_list_is_exact() -> None:
    """A route is on it or declares scopes, never both, and the list names no route that is gone."""
    assert ids(view().as_view(), public=frozenset({"probe/0"})) == []
    assert ids(view(scopes=BOTH).as_view(), public=frozenset({"probe/0"})) == ["permissions.E002"]
    assert ids(view(scopes=BOTH).as_view(), public=frozenset({"probe/9"})) == ["permissions.E001"]


def test_a_function_view_is_enforced(call: Call) -> None:
    """The decorator alone makes an endpoint of a function: 401, 403, 405 and 200 as for a class."""

    @require_scopes(GET="members:write")
    def probe(request: Request) -> Response:
        return Response({"role": request.user.role})

    with routed(probe) as errors:
        assert errors == []
        with override_settings(TENANT_URLCONF="tests.probe_urls"):
            answers = {
                actor: call(actor, "GET", "/probe/0", host=ACME)
                for actor in ("nobody", "acme_viewer", "acme_admin", "operator")
            }
            assert {actor: answer.status_code for actor, answer in answers.items()} == {
                "nobody": 401,
                "acme_viewer": 403,
                "acme_admin": 200,
                "operator": 401,
            }
            assert answers["acme_admin"].json() == {"role": "admin"}
            assert call("acme_admin", "POST", "/probe/0", {}).status_code == 405


@pytest.mark.parametrize("command", [["manage.py", "check"], ["-c", "import config.wsgi"]], ids=["manage.py", "wsgi"])
def test_neither_manage_py_nor_the_server_starts_with_an_open_endpoint(command: list[str], tmp_path: Path) -> None:
    """The same check stands in front of both: a project with one more route refuses to start."""
    (tmp_path / "open_urls.py").write_text(
        "from config.urls import *\n"
        "from django.http import HttpResponse\nfrom django.urls import path\n"
        "urlpatterns = [*urlpatterns, path('open', lambda request: HttpResponse())]\n"
    )
    (tmp_path / "open_settings.py").write_text(
        "from config.settings import *\nROOT_URLCONF = 'open_urls'\nURLCONFS = ['open_urls']\n"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "open_settings",
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), str(ROOT / "platform")]),
    }
    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "'open' declares no scopes" in result.stderr


# --- The table of rights ----------------------------------------------------------------------------------------------


def test_the_table_of_rights_is_as_reviewed() -> None:
    """Scope, who may ever hold it, and which roles do. ``UPDATE_GOLDEN=1`` writes it anew; its diff is the review."""
    lines = [
        f"{grant.scope:<24} kinds={','.join(sorted(grant.kinds)):<14} roles={','.join(sorted(grant.roles))}\n"
        for grant in policy.table().values()
    ]
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text("".join(lines))
    assert "".join(lines) == GOLDEN.read_text()


# Asked for inside a view: without it one sees less.
ASKED_INSIDE = {"member-addresses:read"}


def test_every_scope_is_needed_somewhere() -> None:
    """A scope that no endpoint asks for is a promise without content."""
    needed = {
        scope
        for endpoint in endpoints.endpoints(settings.ROOT_URLCONF)
        if endpoint.view is not None
        for scopes in endpoints.declared(endpoint.view).values()
        for scope in scopes
    }
    assert needed | ASKED_INSIDE == set(policy.table())
    assert not needed & ASKED_INSIDE


def test_stronger_roles_hold_whatever_weaker_ones_do() -> None:
    for kind, roles in ((Kind.MEMBER, list(Role)), (Kind.OPERATOR, list(OperatorRole))):
        held = [policy.granted(kind, role) for role in roles]
        assert all(weaker <= stronger for stronger, weaker in pairwise(held))


def test_who_has_no_role_holds_nothing_but_a_persons_own() -> None:
    own = {"profile:read", "profile:write", "sessions:read", "sessions:write", "tenants:write"}
    assert policy.granted(Kind.PERSON, None) == policy.personal() == own
    writes = {scope for scope in policy.granted(Kind.SUPPORT, None) if not scope.endswith(":read")}
    assert not writes & set(Scope)  # what is the product's own, staff only read
    for kind in Kind:
        if kind not in {Kind.PERSON, Kind.SUPPORT}:
            assert policy.granted(kind, None) == frozenset()
            assert policy.granted(kind, "no-such-role") == frozenset()
    assert policy.granted(Kind.ANONYMOUS, Role.OWNER) == frozenset()


def test_write_implies_read_and_nothing_else_implies_anything() -> None:
    held = frozenset({"projects:write"})
    assert policy.narrow(held, ["projects:read"]) == {"projects:read"}
    assert policy.narrow(held, ["tasks:read", "platform:projects:read"]) == frozenset()
    assert policy.narrow(frozenset({"projects:read"}), ["projects:write"]) == frozenset()
    assert policy.narrow(held, []) == held


@pytest.mark.parametrize(
    "bad",
    [
        {"scope": "Projects:read"},
        {"scope": "projects:delete"},
        {"scope": "projects"},
        {"scope": "platform:projects:read"},
        {"scope": "probe:read", "kinds": frozenset({Kind.OPERATOR})},
        {"scope": "probe:read", "roles": frozenset({OperatorRole.SUPPORT})},
        {"scope": "members:write", "kinds": frozenset({Kind.MEMBER, Kind.SUPPORT})},
    ],
)
def test_a_grant_that_breaks_the_grammar_cannot_be_made(bad: dict[str, Any]) -> None:
    row = {"description": "A probe.", "roles": frozenset({Role.OWNER}), "kinds": frozenset({Kind.MEMBER})}
    with pytest.raises(ValueError, match=r".+"):
        Grant(**(row | bad))


def test_a_scope_is_declared_once() -> None:
    with pytest.raises(ValueError, match="already declared"):
        policy.register(Grant("tenant:read", "Another meaning.", frozenset({Role.OWNER}), frozenset({Kind.MEMBER})))
