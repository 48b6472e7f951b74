"""House rules that a machine can hold: each has a sentence in ARCHITECTURE.md."""

import ast
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("permissions", "tenants", "identity", "platform", "examples", "apps")
TOP_LEVEL = {
    "manage.py", "platform", "tenants", "identity", "permissions", "tests", "docker", "requirements.txt", "examples",
    "apps",  # of whoever adopts it
    "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", ".ci", ".gitignore",
}  # fmt: skip


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from (path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts)


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_platform_is_a_source_root_and_the_standard_librarys_name() -> None:
    """With a ``platform/__init__.py``, gunicorn and others would import ours for theirs."""
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert platform.python_implementation()
    script = "import sys, platform; sys.exit('tenantry' in (platform.__file__ or ''))"
    for path in ([str(ROOT)], [str(ROOT), str(ROOT / "platform")]):
        code = f"import sys; sys.path[:0] = {path!r}; {script}; assert platform.machine()"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_top_level_is_fixed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    assert {line.split("/")[0] for line in tracked.stdout.splitlines()} <= TOP_LEVEL


@pytest.mark.parametrize("module", sorted(modules(*PACKAGES)), ids=lambda path: str(path.relative_to(ROOT)))
def test_house_rules(module: Path) -> None:
    """The rules that hold for every module of the product."""
    tree = ast.parse(module.read_text())
    place = module.relative_to(ROOT).as_posix()
    names = set(imports(tree))

    if not place.startswith(("identity/tokens/", "identity/keys/")):
        assert not {name for name in names if name.split(".")[0] in {"jwt", "rest_framework_simplejwt"}}, (
            "Tokens are read and made in identity/tokens/ alone, with the keys of identity/keys/."
        )
    if not place.startswith("tenants/"):
        switches = {"tenant_context", "schema_context", "get_current_tenant"}
        assert not {name for name in names if name.split(".")[-1] in switches or name.startswith("django_tenants")}, (
            "Only tenants/ knows django-tenants; everybody else enters through tenants.context."
        )
    if module.name.startswith("api") and not place.startswith("examples/"):
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "objects"], (
            "Views read through selectors and write through services."
        )
    if module.name == "services.py":
        _check_services(tree)
    assert len(module.read_text().splitlines()) <= 400, "A module of this length does two jobs."


def _check_services(tree: ast.Module) -> None:
    public = [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    for function in public:
        arguments = function.args
        names = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
        assert "request" not in names, f"{function.name}: a service never sees a request."
        assert ast.get_docstring(function), f"{function.name}: a service says what it does."
        assert len(arguments.args) <= 1, f"{function.name}: a service takes keywords."


def test_no_secret_and_no_stranger_in_the_repository() -> None:
    """No key, no token, no absolute path of somebody's machine."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path == Path(__file__) or not path.is_file():
            continue
        text = path.read_text(errors="replace")
        for needle in ("BEGIN PRIVATE KEY-----\nM", "BEGIN EC PRIVATE KEY-----\nM", "/home/", "/root/"):
            assert needle not in text, (name, needle)
