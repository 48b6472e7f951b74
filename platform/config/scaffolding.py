"""What ``manage.py start_tenant_app`` makes: an app of one's own, from the templates in ``app_template/``."""

import builtins
import json
import keyword
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.template import Context, Engine

from config import openapi
from config.environment import TENANT_APP_FOLDERS
from permissions import endpoints, policy

TEMPLATES = Path(__file__).parent / "app_template"
_NAME = re.compile(r"[a-z]+(_[a-z]+)*")
_MODEL = re.compile(r"[A-Z][A-Za-z]*")
_NAMES_OF_CLIENTS = {"AuthenticatedClient", "Client", "File", "Response", "Unset"}  # beside what the documents describe
_LONGEST = 30  # scopes, tables and indexes are named after it


class Refused(Exception):
    """There can be no such app; the message says why. Nothing was written."""


@dataclass(frozen=True)
class Words:
    """What the templates say.

    Attributes:
        name: the app's label, such as ``invoice_lines``; `module` is where it is imported from.
        resource: the same in URLs and scopes: ``invoice-lines``.
        model, config: names of classes: ``InvoiceLine``, ``InvoiceLinesConfig``.
        noun: one of them in names of functions: ``invoice_line``; `variable` is fit for a variable.
        singular, plural, article: the same for people; `usual_plural` is the plural that Django would guess.
    """

    name: str
    module: str
    resource: str
    model: str
    config: str
    noun: str
    variable: str
    basename: str
    singular: str
    plural: str
    usual_plural: str
    article: str


def words(*, name: str, model: str | None, folder: str) -> Words:
    """Return the words for an app.

    Args:
        model: name of its model's class; made from the app's name when there is none.

    Raises:
        Refused: one of them does not fit.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(name):
        raise Refused(
            f"{name!r} is no name for an app: lower-case words without digits, joined by underscores, {_LONGEST} "
            "characters at most; the plural that is in the URL, such as `invoice_lines`."
        )
    model = model or "".join(word.title() for word in _singular(name).split("_"))
    if not _MODEL.fullmatch(model) or len(model) > _LONGEST or keyword.iskeyword(model):
        raise Refused(f"{model!r} is no name for a model: a noun in CamelCase, such as `InvoiceLine`.")
    top, *rest = Path(folder).parts or ("",)
    if top not in TENANT_APP_FOLDERS or not all(_NAME.fullmatch(part) for part in rest):
        raise Refused(f"{folder!r} is no folder for it: tenant apps are below {' or '.join(TENANT_APP_FOLDERS)}.")
    noun = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", model).lower()
    singular = noun.replace("_", " ")
    return Words(
        name=name,
        module=".".join([top, *rest, name]),
        resource=name.replace("_", "-"),
        model=model,
        config="".join(word.title() for word in name.split("_")) + "Config",
        noun=noun,
        variable=f"{noun}_" if keyword.iskeyword(noun) or hasattr(builtins, noun) else noun,
        basename=noun.replace("_", "-"),
        singular=singular,
        plural=name.replace("_", " "),
        usual_plural=f"{singular}s",
        article=openapi.article(singular),
    )


def _singular(name: str) -> str:
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("ss", "ss")):
        if name.endswith(ending):
            return name.removesuffix(ending) + instead
    return name.removesuffix("s")


def files(said: Words) -> dict[Path, str]:
    """Return what is to be written: absolute paths and their contents."""
    folder = settings.ROOT.joinpath(*said.module.split("."))
    inits = [parent / "__init__.py" for parent in folder.parents if settings.ROOT in parent.parents]
    return {
        **{init: "" for init in inits if not init.exists()},
        **{folder / place.with_suffix(".py"): text for place, text in _rendered(said, TEMPLATES / "app")},
        settings.ROOT / "tests" / f"test_app_{said.name}.py": _render(TEMPLATES / "tests.py-tpl", said),
    }


def _rendered(said: Words, folder: Path) -> Iterator[tuple[Path, str]]:
    for template in sorted(folder.rglob("*.py-tpl")):
        yield template.relative_to(folder), _render(template, said)


def _render(template: Path, said: Words) -> str:
    return Engine().from_string(template.read_text()).render(Context(asdict(said), autoescape=False))


def refuse_clashes(said: Words, planned: Mapping[Path, str]) -> None:
    """Refuse what is there already, in files, in Django's registry, in rights, routes and documents.

    Raises:
        Refused: the first thing that is.
    """
    folder = settings.ROOT.joinpath(*said.module.split("."))
    for path in (folder, *planned):
        if path.exists():
            raise Refused(f"{path.relative_to(settings.ROOT)} exists already.")
    labels = {config.label: config.name for config in apps.get_app_configs()}
    if said.name in labels:
        raise Refused(f"The app {labels[said.name]} has the label {said.name!r} already: choose another name.")
    taken = sorted(scope for scope in policy.table() if scope.split(":")[0] == said.resource)
    if taken:
        raise Refused(f"The scope {taken[0]!r} is declared already: choose another name.")
    start = f"api/v1/{said.resource}"
    routes = {endpoint.route for endpoint in endpoints.endpoints(settings.TENANT_URLCONF)}
    if any(route == start or route.startswith(f"{start}/") for route in routes):
        raise Refused(f"/{start} is routed already: choose another name.")
    written = "\n".join(template.read_text() for template in TEMPLATES.rglob("*.py-tpl"))
    if said.model in _NAMES_OF_CLIENTS or re.search(rf"\b{said.model}\b", written):
        raise Refused(f"Generated code needs the name {said.model!r} itself: name the model with --model.")
    components = json.loads(openapi.TENANT.file.read_text())["components"]["schemas"]
    if said.model in components:
        raise Refused(f"The API's documents have a {said.model!r} already: name the model with --model.")


def write(said: Words, planned: Mapping[Path, str]) -> list[Path]:
    """Write the files, format them, make the migration, and let the tools know a new folder. All of it or nothing.

    Returns:
        what was written or changed.

    Raises:
        Refused: Django does not accept the app; the message is Django's.
    """
    pyproject = settings.ROOT / "pyproject.toml"
    before = pyproject.read_text()
    folder = settings.ROOT.joinpath(*said.module.split("."))
    try:
        for path, text in planned.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        after = _naming(before, said.module.split(".")[0])
        if after != before:
            pyproject.write_text(after)
        _format([path for path in planned if path.stat().st_size])
        _make_migration(said)
    except BaseException:
        pyproject.write_text(before)
        for path in planned:
            path.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        for parent in folder.parents:
            if settings.ROOT in parent.parents and parent.exists() and not any(parent.iterdir()):
                parent.rmdir()
        raise
    return [*planned, *sorted(folder.glob("migrations/0*.py")), *([pyproject] if after != before else [])]


def _naming(pyproject: str, top: str) -> str:
    """Return pyproject.toml with the folder wherever it names the examples: types, coverage, import contracts."""
    return pyproject if f'"{top}"' in pyproject else pyproject.replace('"examples"', f'"{top}", "examples"')


def _format(paths: list[Path]) -> None:
    """Let ruff wrap lines and sort imports as names of another length need it, where it is installed."""
    if find_spec("ruff"):
        for command in (["check", "--fix", "--select", "I"], ["format"]):
            _run([sys.executable, "-m", "ruff", *command, "--quiet", *map(str, paths)])


def _make_migration(said: Words) -> None:
    environment = os.environ | {"TENANT_APPS": ",".join([*settings.TENANT_APPS, said.module])}
    _run([sys.executable, "manage.py", "makemigrations", said.name, "--verbosity=0"], environment)


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    result = subprocess.run(  # noqa: S603 -- our own command
        command, cwd=settings.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise Refused(f"{result.stdout}{result.stderr}".strip())
