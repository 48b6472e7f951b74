"""``manage.py start_tenant_app``: what it makes passes what `make test` runs; what it refuses leaves no trace."""

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from config import scaffolding
from tests import checkouts

# Each name is hard on something else: the wrapping of lines, a plural, a builtin, a folder of its own.
APPS: dict[str, list[str]] = {
    "probe_lines": [],
    "probe_properties": ["--model", "Property", "--folder", "examples"],
    "extraordinarily_long_names_yes": ["--model", "ExtraordinarilyLongNameForIt", "--folder", "apps/billing"],
}
# Those of the product's tests that know every route, scope, field and module.
PRODUCT_TESTS = [
    "tests/test_architecture.py",
    "tests/test_declarations.py::test_the_project_itself_passes",
    "tests/test_declarations.py::test_removing_any_declaration_is_refused",
    "tests/test_declarations.py::test_the_table_of_rights_is_as_reviewed",
    "tests/test_declarations.py::test_every_scope_is_needed_somewhere",
    "tests/test_matrix.py::test_every_route_method_and_actor_is_as_reviewed",
    "tests/test_support_consent.py::test_every_other_write_is_refused",
    "tests/test_matrix.py::test_strangers_get_nothing_but_public_endpoints",
    "tests/test_matrix.py::test_the_two_apis_share_no_caller",
    "tests/test_matrix.py::test_a_token_of_one_tenant_is_refused_on_every_route_of_another_tenants_host",
    "tests/test_bad_input.py::test_every_endpoint_with_a_body_is_here",
    "tests/test_escalation.py::test_what_can_be_written_is_as_reviewed",
    "tests/test_audit.py::test_the_names_of_actions_are_as_reviewed",
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with all the apps in it."""
    folder = checkouts.copy(tmp_path_factory.mktemp("scaffold") / "tenantry")
    for name, more in APPS.items():
        printed = checkouts.run(folder, "manage.py", "start_tenant_app", name, *more)
        assert f"tests/test_app_{name}.py" in printed
        assert "make golden schema" in printed
    return folder


def written(folder: Path) -> list[str]:
    """What is in the checkout because of the apps."""
    tests = (str(file.relative_to(folder)) for file in (folder / "tests").glob("test_app_*.py"))
    return ["apps", "examples", *tests]


@pytest.mark.parametrize(
    "command", [["-m", "ruff", "check"], ["-m", "ruff", "format", "--check"]], ids=["lint", "format"]
)
def test_the_code_is_clean(checkout: Path, command: list[str]) -> None:
    checkouts.run(checkout, *command, *written(checkout))


def test_the_types_are_right(checkout: Path) -> None:
    """In strict mode, with the folder among those that mypy looks at."""
    assert '"apps", "examples"' in (checkout / "pyproject.toml").read_text()
    checkouts.run(checkout, "-m", "mypy", "apps", "examples")


def test_the_import_contracts_hold_and_know_the_folder(checkout: Path) -> None:
    paths = {"PYTHONPATH": f"{checkout}:{checkout / 'platform'}"}
    lint = ["-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-logo"]
    assert "0 broken" in checkouts.run(checkout, *lint, **paths)
    module = checkout / "apps" / "probe_lines" / "selectors.py"
    before = module.read_text()
    module.write_text(f"import jwt\n{before}")
    try:
        assert "apps.probe_lines.selectors -> jwt" in checkouts.run(checkout, *lint, status=1, **paths)
    finally:
        module.write_text(before)


def test_django_accepts_it_and_the_migrations_are_whole(checkout: Path) -> None:
    checkouts.run(checkout, "manage.py", "check")
    checkouts.run(checkout, "manage.py", "makemigrations", "--check", "--dry-run", *APPS)


def test_its_own_tests_and_the_products_pass(checkout: Path) -> None:
    """Against a real Postgres. The golden files are written anew first, as `make golden schema` does: no row that was
    reviewed before changes, and every new one is about the new apps.
    """
    before = golden_rows(checkout)
    checkouts.run(checkout, "manage.py", "generate_openapi")
    checkouts.run(checkout, "manage.py", "generate_openapi", "--check")
    tests = [name for name in written(checkout) if name.startswith("tests/")]
    checkouts.run(checkout, "-m", "pytest", "-q", "-p", "no:xdist", *tests, *PRODUCT_TESTS, UPDATE_GOLDEN="1")
    after = golden_rows(checkout)
    assert before <= after
    assert {line for line in after - before if not any(app.replace("_", "-") in line for app in APPS)} == set()


def golden_rows(folder: Path) -> set[str]:
    return {
        " ".join(line.split())
        for file in (folder / "tests/golden").glob("*.txt")
        for line in file.read_text().splitlines()
    }


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["Invoices"], "no name for an app"),
        (["invoice-lines"], "no name for an app"),
        (["invoices2"], "no name for an app"),
        (["class"], "no name for an app"),
        (["a" * 31], "no name for an app"),
        (["../evil"], "no name for an app"),
        (["probes", "--model", "invoice"], "no name for a model"),
        (["probes", "--model", "None"], "no name for a model"),
        (["probes", "--folder", "tests"], "no folder for it"),
        (["probes", "--folder", "apps/../tenants"], "no folder for it"),
        (["probes", "--folder", "/apps"], "no folder for it"),
        (["probes", "--folder", ""], "no folder for it"),
        (["projects", "--folder", "examples"], "exists already"),
        (["members"], "has the label 'members' already"),
        (["tasks"], "The scope 'tasks:read' is declared already"),
        (["auth"], "has the label 'auth' already"),
        (["me"], "/api/v1/me is routed already"),
        (["jobs"], "has the label 'jobs' already"),
        (["positions", "--model", "Role"], "have a 'Role' already"),
        (["things", "--model", "UUID"], "needs the name 'UUID' itself"),
        (["customers", "--model", "Client"], "needs the name 'Client' itself"),
    ],
)
def test_what_clashes_is_refused_and_nothing_is_written(arguments: list[str], why: str) -> None:
    before = _state()
    with pytest.raises(CommandError, match=why):
        call_command("start_tenant_app", *arguments)
    assert _state() == before


def test_a_dry_run_says_what_it_would_write(capsys: pytest.CaptureFixture[str]) -> None:
    before = _state()
    call_command("start_tenant_app", "probes", "--dry-run")
    assert "apps/probes/api.py" in capsys.readouterr().out
    assert _state() == before


def test_production_writes_no_code() -> None:
    from django.core.management import CommandError, call_command

    with override_settings(IN_DEVELOPMENT=False), pytest.raises(CommandError, match="development"):
        call_command("start_tenant_app", "probes")


def test_an_app_that_django_does_not_accept_is_taken_back(checkout: Path) -> None:
    """Whatever goes wrong after the first file was written, nothing of it stays."""
    template = checkout / "platform" / "config" / "app_template" / "app" / "models.py-tpl"
    text = template.read_text()
    template.write_text(text.replace("default=uuid.uuid4", "default=uuid.uuid5000"))
    before = (checkout / "pyproject.toml").read_text()
    try:
        assert "uuid5000" in checkouts.run(
            checkout, "manage.py", "start_tenant_app", "probe_orders", "--folder", "apps/probing", status=1
        )
    finally:
        template.write_text(text)
    assert not (checkout / "apps" / "probing").exists()
    assert not (checkout / "tests" / "test_app_probe_orders.py").exists()
    assert (checkout / "apps" / "probe_lines" / "models.py").exists()
    assert (checkout / "pyproject.toml").read_text() == before


@pytest.mark.parametrize(
    ("name", "model"),
    [("invoices", "Invoice"), ("policies", "Policy"), ("boxes", "Box"), ("classes", "Class"), ("dishes", "Dish"),
     ("invoice_lines", "InvoiceLine"), ("equipment", "Equipment"), ("address", "Address")],
)  # fmt: skip
def test_the_models_name_is_made_from_the_apps(name: str, model: str) -> None:
    assert scaffolding.words(name=name, model=None, folder="apps").model == model


@pytest.mark.parametrize(
    ("noun", "article"),
    [("order", "an"), ("task", "a"), ("user", "a"), ("unit", "a"), ("update", "an"), ("usage", "a")],
)
def test_the_article_of_a_noun(noun: str, article: str) -> None:
    assert scaffolding.words(name="probes", model=noun.title(), folder="apps").article == article


def _state() -> dict[Path, bytes]:
    """Whatever the command could have written here."""
    tracked = [checkouts.ROOT / "pyproject.toml", *(checkouts.ROOT / "tests").glob("test_app_*")]
    folders = [path for folder in ("apps", "examples") for path in (checkouts.ROOT / folder).rglob("*.py")]
    return {path: path.read_bytes() for path in (*tracked, *folders)}
