"""``make clients``: typed clients of both APIs, in Python and in TypeScript, from the committed OpenAPI documents.

Nothing of them is committed: they follow from the documents, and whoever needs them generates them. In the folder that
is named, anew each time:

    python/<api>/        a package tenantry_<api>_client, to be installed by pip (openapi-python-client)
    typescript/<api>.ts  the types that openapi-fetch takes: createClient<paths>({ baseUrl }) (openapi-typescript)
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = ROOT / "platform" / "config" / "schemas"
CONFIG = Path(__file__).parent / "openapi-python-client.yaml"
NODE_MODULES = Path(sys.prefix) / "clients" / "node_modules"  # where `make` installs tests/clients/package.json
APIS = ("tenant", "operator")


def build(folder: Path) -> None:
    """Generate all clients into `folder`.

    Raises:
        subprocess.CalledProcessError: a generator does not understand a document; it has said why.
    """
    for api in APIS:
        python(api, folder / "python" / api)
        typescript(api, folder / "typescript" / f"{api}.ts")


def python(api: str, folder: Path) -> None:
    """Generate the Python client of one API: a project of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    config = folder.parent / f"{api}.yaml"
    config.write_text(f"project_name_override: tenantry-{api}-client\n{CONFIG.read_text()}")
    generator = ["openapi_python_client", "generate", "--fail-on-warning", "--meta", "setup", "--config", str(config)]
    run([sys.executable, "-m", *generator, "--path", str(DOCUMENTS / f"{api}.json"), "--output-path", str(folder)])
    config.unlink()


def typescript(api: str, file: Path) -> None:
    """Generate the TypeScript types of one API."""
    file.parent.mkdir(parents=True, exist_ok=True)
    generator = NODE_MODULES / "openapi-typescript" / "bin" / "cli.js"
    run(["node", str(generator), str(DOCUMENTS / f"{api}.json"), "--output", str(file)])


def run(command: list[str]) -> None:
    # The generators' own helpers, ruff and Node, are in the environment that this runs in.
    path = os.pathsep.join([str(Path(sys.prefix) / "bin"), os.environ.get("PATH", "")])
    subprocess.run(command, check=True, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())
