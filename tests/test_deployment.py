"""What is in ``docker/``: linted, in agreement with the product and with itself, and its runbook's commands exist.

Its processes run for real in ``test_graceful.py``.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandError

from config import environment
from tests.deployed import DOCKER, ROOT, compose, environment_of, example

BIN = Path(sys.executable).parent
SERVICES: dict[str, Any] = compose()["services"]
OURS = ("app", "worker", "migrate")


def lint(*command: str) -> None:
    result = subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_compose_is_of_the_specification() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker/compose.yaml")


def test_compose_has_no_known_weakness() -> None:
    rules = ("--config", "docker/.compose-lint.yml", "--strict-config", "--no-env", "--fail-on", "low")
    lint("compose-lint", "check", *rules, "docker/compose.yaml")


@pytest.mark.parametrize("file", ["docker/Dockerfile", "docker/pgbouncer/Dockerfile"])
def test_dockerfiles_are_linted(file: str) -> None:
    lint("node", str(BIN.parent / "clients/node_modules/.bin/dockerfile-utils"), "lint", file)


@pytest.mark.parametrize("script", ["start", "make-secrets", "postgres/10-roles.sh"])
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(DOCKER / script, os.X_OK)
    subprocess.run(["sh", "-n", str(DOCKER / script)], check=True)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    """Nothing to write to but what is named, no right of root's, bounds on what it takes, and a probe."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"memory", "cpus", "pids"} <= set(service["deploy"]["resources"]["limits"])
    assert "healthcheck" in service or name in {"app", "pgbouncer"}, "those two have it in their image"
    assert ("ports" in service) == (name == "caddy"), "nobody else is reached from outside"
    assert "latest" not in service["image"]
    mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert all((DOCKER / source).exists() for source in mounted if source.startswith("./"))
    assert {source for source in mounted if not source.startswith("./")} <= set(compose()["volumes"])


def test_only_who_needs_it_has_a_secret() -> None:
    """The app cannot become the owner; what a service is told is in a file, it has, and make-secrets makes it."""
    made = set(compose()["secrets"])
    for name, service in SERVICES.items():
        told = set(service.get("secrets", []))
        assert told <= made
        for variable, value in service.get("environment", {}).items():
            if "/run/secrets/" in str(value):
                assert Path(str(value)).name in told, (name, variable)
            else:
                assert not re.search("PASSWORD|SECRET|TOKEN|DATABASE_URL", variable), (
                    f"{name} has {variable} in the open"
                )
    assert "database_owner_url" not in SERVICES["app"]["secrets"]
    assert "owner_password" not in {secret for name in OURS for secret in SERVICES[name]["secrets"]}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([str(DOCKER / "make-secrets"), str(folder)], check=True, capture_output=True)
        contents = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(contents) == set(compose()["secrets"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    random = [
        contents[name]
        for name in ("secret_key", "postgres_password", "owner_password", "app_password", "metrics_token")
    ]
    assert len(set(random)) == len(random)
    assert min(map(len, random)) >= 64
    for name in ("database_url", "database_pooled_url"):
        assert urlsplit(contents[name]).password == contents["app_password"]
    assert urlsplit(contents["database_owner_url"]).password == contents["owner_password"]
    assert contents["pgbouncer_users"] == f'"tenantry_app" "{contents["app_password"]}"'
    before = dict(contents)
    (folder / "secret_key").unlink()
    subprocess.run([str(DOCKER / "make-secrets"), str(folder)], check=True, capture_output=True)
    after = {file.name: file.read_text() for file in folder.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"secret_key"}


@pytest.mark.parametrize("name", OURS)
def test_what_a_process_is_told_is_what_it_reads(name: str, tmp_path: Path) -> None:
    """Each variable of compose is one that the code reads, and each placeholder is explained in .env.example."""
    source = "".join(file.read_text() for file in (ROOT / "platform" / "config").glob("*.py"))
    for variable in environment_of(name, tmp_path, example()):
        secret = variable.removesuffix("_FILE")
        assert secret in environment.SECRETS if secret != variable else f'"{variable}"' in source, variable
    text = (DOCKER / "compose.yaml").read_text()
    documented = set(re.findall(r"^#? ?([A-Z_]+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) - {"PGBOUNCER_IMAGE"} == documented


def test_secrets_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("of the file\n")
    found = environment.with_secrets_of_files({"SECRET_KEY_FILE": str(file), "PORT": "1"})
    assert found == {"SECRET_KEY_FILE": str(file), "PORT": "1", "SECRET_KEY": "of the file"}
    file.write_text("")
    assert "SECRET_KEY" not in environment.with_secrets_of_files({"SECRET_KEY_FILE": str(file)})
    for wrong in (
        {"SECRET_KEY_FILE": str(file), "SECRET_KEY": "both"},
        {"SECRET_KEY_FILE": str(tmp_path / "missing")},
    ):
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY_FILE"):
            environment.with_secrets_of_files(wrong)


def ignored(path: str) -> bool:
    """Whether ``docker/Dockerfile.dockerignore`` leaves a path out of the image, by the rules that it uses."""
    is_out = False
    for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line or line.startswith("#"):
            continue
        parts = path.split("/")
        begins = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if pattern.startswith("**/"):
            hit = any(fnmatch.fnmatch(part, pattern[3:]) for part in parts)
        else:
            hit = any(begin.count("/") == pattern.count("/") and fnmatch.fnmatch(begin, pattern) for begin in begins)
        if hit:
            is_out = not line.startswith("!")
    return is_out


def sources() -> Iterator[Path]:
    for folder, names, files in os.walk(ROOT):
        place = Path(folder).relative_to(ROOT)
        names[:] = [name for name in names if not ignored((place / name).as_posix()) or name == "docker"]
        yield from (place / file for file in files if not ignored((place / file).as_posix()))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the image has, built by the image's own command."""
    folder = tmp_path_factory.mktemp("image")
    for file in sources():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, folder / file)
    clean = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # no secret, no setting
    subprocess.run([str(folder / "docker" / "start"), "static"], env=clean, check=True)
    return folder


def test_the_image_has_what_it_needs_and_no_more(image: Path) -> None:
    assert {path.name for path in (image / "docker").iterdir()} == {"start"}
    top = {path.name for path in image.iterdir()}
    assert not {".git", ".venv", ".data", "tests", "README.md"} & top
    assert not (image / "platform" / "requirements-demo.txt").exists()
    assert ignored("docker/secrets/secret_key")
    assert ignored("docker/.env")
    assert (image / "static" / "drf_spectacular_sidecar").is_dir(), "the documentation has its styles"
    assert "embedded" not in (image / "requirements.txt").read_text()


def test_the_image_starts_and_asks_for_its_settings(image: Path) -> None:
    """Gunicorn and the settings are found there; without secrets it names what is missing, and serves nothing."""
    clean = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    command = [str(image / "docker" / "start"), "app", "--check-config"]
    result = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "SECRET_KEY is not set" in result.stderr
    told = environment_of("app", Path("/run/secrets"), example())
    told = {name: value for name, value in told.items() if not name.endswith("_FILE")}
    told |= {"SECRET_KEY": "0123456789abcdef" * 4, "EMAIL_URL": "smtp+tls://smtp.example.com"}
    told |= {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere", "DATABASE_POOL_SECONDS": "1"}  # it may be away
    subprocess.run(command, env=clean | told, capture_output=True, check=True)


def test_the_image_is_not_roots() -> None:
    """The last stage has a user by number, no package manager's leavings, and the start command in exec form."""
    last = (DOCKER / "Dockerfile").read_text().rsplit("FROM ", 1)[1]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["docker/start"]' in last
    assert 'CMD ["app"]' in last
    assert "HEALTHCHECK" in last
    assert "PYTHONPATH=/srv/tenantry:/srv/tenantry/platform" in last
    assert "chown" not in last, "its code is root's, and cannot be written by the process"
    assert [SERVICES[name]["command"] for name in OURS] == [[name] for name in OURS]


def runbook() -> Iterator[list[str]]:
    """The commands in the runbook, line by line; in tables they stand in backquotes."""
    text = (DOCKER / "README.md").read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            for command in line.split(" && "):
                words = shlex.split(command, comments=True)
                if words and not words[0].endswith("()"):
                    yield words
    for quoted in re.findall(r"`(manage [^`]+|signing_keys[^`]+)`", text):
        yield shlex.split(quoted.replace("<", "").replace(">", ""))


def test_the_runbooks_commands_exist() -> None:
    """Each command of ``manage.py`` takes the arguments that the runbook gives it; each service and script is there."""
    known, checked = get_commands(), []
    for words in runbook():
        if words[0] == "manage":
            parse(words[1:], known)
        elif words[0] == "signing_keys":
            parse(words, known)
        elif words[0] == "dc":
            services = [word for word in words[2:] if word in SERVICES]
            assert words[1] in {"build", "up", "run", "exec", "stop", "--profile"}, words
            if words[1] == "run":
                after = words[words.index(services[0]) + 1 :]
                if after:
                    parse(after, known)
        elif words[0].startswith("docker/"):
            assert (ROOT / words[0]).exists(), words
        else:
            assert words[0] in {"cp", "mv", "rm", "docker", "${EDITOR:-vi}"}, words
            continue
        checked.append(words)
    assert len(checked) > 30


def parse(words: list[str], known: dict[str, Any]) -> None:
    command = known[words[0]]
    if not isinstance(command, BaseCommand):
        command = load_command_class(command, words[0])
    try:
        command.create_parser("manage.py", words[0]).parse_args(words[1:])
    except CommandError as error:
        pytest.fail(f"{' '.join(words)}: {error}")


def test_the_proxy_says_what_the_app_believes() -> None:
    """One proxy in front: what it writes is what TRUSTED_PROXIES counts."""
    caddyfile = (DOCKER / "caddy" / "Caddyfile").read_text()
    told = SERVICES["app"]["environment"]
    assert (told["BEHIND_PROXY"], told["TRUSTED_PROXIES"]) == ("on", "1")
    assert "trusted_proxies" not in caddyfile, "Caddy would believe whoever is in front of it, and count one more"
