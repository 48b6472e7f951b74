"""Typed clients of both APIs, generated from the committed OpenAPI documents: they pass strict type checks, and work
against a running server.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients import build

PROGRAMS = Path(__file__).parent / "clients"
TOOLS = Path(sys.prefix) / "bin"
# What is not asked of one generated module: it hands *args on to httpx' __exit__.
MYPY = """
[mypy]
strict = true
[mypy-tenantry_tenant_client.client,tenantry_operator_client.client]
disable_error_code = arg-type
"""
TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "exactOptionalPropertyTypes": True,
        "noUncheckedIndexedAccess": True,
        "noEmit": True,
        "allowImportingTsExtensions": True,
        "target": "es2024",
        "lib": ["es2024", "dom", "dom.iterable"],
        "module": "nodenext",
        "types": [],
    },
    "files": ["use_clients.ts", "tenant.ts", "operator.ts"],
}


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated clients, and the programs that use them."""
    folder = tmp_path_factory.mktemp("clients")
    build.build(folder)
    for language, program in (("python", "use_clients.py"), ("typescript", "use_clients.ts")):
        (folder / language / program).write_text((PROGRAMS / program).read_text())
    (folder / "typescript" / "node_modules").symlink_to(build.NODE_MODULES, target_is_directory=True)
    (folder / "typescript" / "package.json").write_text('{"type": "module"}')
    return folder


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    result = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_python_clients_are_typed(clients: Path) -> None:
    """In strict mode, together with a program that uses them."""
    folder = clients / "python"
    (folder / "mypy.ini").write_text(MYPY)
    packages = [f"{api}/tenantry_{api}_client" for api in build.APIS]
    paths = os.pathsep.join(str(folder / api) for api in build.APIS)
    run(
        sys.executable,
        "-m",
        "mypy",
        "--show-traceback",
        "--config-file",
        "mypy.ini",
        *packages,
        "use_clients.py",
        folder=folder,
        MYPYPATH=paths,
    )


def test_the_python_clients_work(clients: Path, demo: dict[str, Any]) -> None:
    folder = clients / "python"
    paths = os.pathsep.join(str(folder / api) for api in build.APIS)
    seen = json.loads(
        run(sys.executable, "use_clients.py", demo["api"], demo["password"], folder=folder, PYTHONPATH=paths)
    )
    assert seen.pop("year") >= 2026
    assert seen.pop("tenants")[:2] == ["acme", "globex"]
    assert seen == {
        "tenant": "acme",
        "made": "By the Python client",
        "status": ["active", "archived"],
        "page": ["By the Python client"],
        "goes on": True,
        "refusal": [403, "insufficient_scope", "projects:write"],
        "mistake": [["#/name", "blank"]],
        "wrong password": "invalid_credentials",
        "rotated": True,
        "machine": [True, ["projects:read"], "projects:read"],
    }


def test_the_typescript_types_are_strict(clients: Path) -> None:
    """Together with a program that uses them."""
    folder = clients / "typescript"
    (folder / "tsconfig.json").write_text(json.dumps(TSCONFIG))
    compiler = build.NODE_MODULES / "typescript" / "bin" / "tsc"
    run(TOOLS / "node", compiler, "--project", ".", folder=folder)


def test_the_typescript_client_works(clients: Path, demo: dict[str, Any]) -> None:
    seen = json.loads(
        run(TOOLS / "node", "use_clients.ts", demo["api"], demo["password"], folder=clients / "typescript")
    )
    assert seen.pop("tenants")[:2] == ["acme", "globex"]
    assert seen == {
        "tenant": "acme",
        "made": "By the TypeScript client",
        "description": "",
        "status": ["active", "archived"],
        "page": ["By the TypeScript client"],
        "goes on": True,
        "refusal": [403, "insufficient_scope", "projects:write"],
        "mistake": [["#/name", "blank"]],
        "rotated": True,
        "me": "member@acme.test",
    }
