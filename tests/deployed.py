"""A deployment as ``docker/`` makes it, without containers: its secrets, roles, environment and start command, on a
Postgres server of its own.
"""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import yaml

from config.embedded_postgres import EmbeddedPostgres, _binaries
from config.processes import die_with_parent
from tests.leaks import pooler
from tests.running_demo import free_port

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
API_HOST = "api.example.com"
_URLS = ("database_url", "database_owner_url", "database_pooled_url")
_SECONDS = 60


def compose() -> dict[str, Any]:
    """What ``docker/compose.yaml`` says, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return found


def example() -> dict[str, str]:
    """What ``docker/.env.example`` sets."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def environment_of(service: str, secrets: Path, values: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a service, filled in as compose does, with its secrets in a folder of ours."""

    def fill(match: re.Match[str]) -> str:
        name, _, default = match[1].partition(":")
        if default.startswith("?"):
            return values[name]
        return values.get(name) or default.removeprefix("-")

    told = compose()["services"][service]["environment"].items()
    filled = {name: re.sub(r"\$\{([^}]+)\}", fill, str(value)) for name, value in told}
    return {name: value.replace("/run/secrets", str(secrets)) for name, value in filled.items() if value}


@dataclass(frozen=True)
class Deployment:
    """A server with the deployment's roles, and what is needed to start its processes.

    Attributes:
        secrets: the folder that ``docker/make-secrets`` has made; its URLs lead to the server.
        superuser_url: of the database ``tenantry``, as whoever administers the server.
    """

    folder: Path
    secrets: Path
    superuser_url: str

    @property
    def owner_url(self) -> str:
        return (self.secrets / "database_owner_url").read_text()

    def environment(self, service: str, **more: str) -> dict[str, str]:
        """Return what a process of this service is told, and nothing else of ours but where the programs are."""
        told = environment_of(service, self.secrets, example())
        ours = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        # Limits are counted by the processes themselves here; exports are written where we may.
        return ours | told | {"REDIS_URL": "", "EXPORT_DIR": str(self.folder / "exports")} | more

    def run(self, service: str, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the start command to its end."""
        return subprocess.run(
            [str(DOCKER / "start"), *command],
            env=self.environment(service, **more),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    @contextmanager
    def started(self, service: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a service's own command, as the process that gets the signals; it is gone afterwards."""
        with self.log(service).open("wb") as log:
            process = subprocess.Popen(
                [str(DOCKER / "start"), *compose()["services"][service]["command"]],
                env=self.environment(service, **more),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 -- no other thread runs yet; a killed run leaves nothing
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the group of its own that it was started in
            process.wait()

    @contextmanager
    def serving(self, port: int = 0, **more: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Start the app and wait until it is ready; yields its process and port, which is a free one unless given."""
        port = port or free_port()
        with self.started("app", BIND=f"127.0.0.1:{port}", **more) as process:
            deadline = time.monotonic() + _SECONDS
            while ask(port, "/health/ready") != 200:
                told = self.log("app").read_text(errors="replace")[-3000:]
                assert process.poll() is None, f"the app has ended: {told}"
                assert time.monotonic() < deadline, f"the app does not get ready: {told}"
                time.sleep(0.05)
            yield process, port

    def log(self, service: str) -> Path:
        return self.folder / f"{service}.log"

    @contextmanager
    def pooled(self) -> Iterator[Path]:
        """Put PgBouncer, by its configuration in ``docker/``, in front of the database until the block ends; yields the
        file with the URL that leads through it.
        """
        with pooler.pooled((self.secrets / "database_url").read_text(), self.folder) as url:
            file = self.folder / "database_pooled_url"
            file.write_text(url)
            yield file

    @contextmanager
    def proxied(self, app: int) -> Iterator[tuple[int, int]]:
        """Put Caddy, by its configuration in ``docker/``, in front of the app's port until the block ends; yields its
        ports for HTTPS and for HTTP. It makes certificates of its own, where it would ask an authority.
        """
        https, http_, asked = free_port(), free_port(), free_port()
        config = (DOCKER / "caddy" / "Caddyfile").read_text().replace("127.0.0.1:9080", f"127.0.0.1:{asked}")
        own = f"http_port {http_}\n\thttps_port {https}\n\tlocal_certs\n\tskip_install_trust\n\t"
        file = self.folder / "Caddyfile"
        file.write_text(config.replace("\tadmin off", f"\t{own}admin off", 1))
        told = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder / "caddy")}
        told |= {"ACME_EMAIL": "ops@example.com", "APP_UPSTREAM": f"127.0.0.1:{app}"}
        with self.log("caddy").open("wb") as log:
            command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
            process = subprocess.Popen(command, env=told, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + _SECONDS
            while ask(http_, "/") == 0:
                assert process.poll() is None, self.log("caddy").read_text()[-3000:]
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield https, http_
        finally:
            process.terminate()
            process.wait()


@contextmanager
def deployment(*, secret_key: str = "") -> Iterator[Deployment]:
    """Make the secrets, and the roles on a new server; nothing is migrated yet, and nothing is left afterwards.

    Args:
        secret_key: one that is there already.
    """
    folder = Path(tempfile.mkdtemp(prefix="tenantry-deployed-"))
    folder.chmod(0o711)  # the database's own user passes through, and reads nothing
    try:
        with EmbeddedPostgres(folder / "data", durable=False) as server:
            superuser = server._url("postgres", "postgres", urlsplit(server.url).port or 0)
            secrets = folder / "secrets"
            secrets.mkdir()
            if secret_key:
                (secrets / "secret_key").write_text(secret_key)
            subprocess.run([str(DOCKER / "make-secrets"), str(secrets)], check=True, capture_output=True)
            _make_roles(superuser, secrets)
            for name in _URLS:
                url = urlsplit((secrets / name).read_text())
                netloc = f"{url.username}:{url.password}@127.0.0.1:{urlsplit(superuser).port}"
                (secrets / name).chmod(0o600)
                (secrets / name).write_text(url._replace(netloc=netloc).geturl())
            yield Deployment(folder, secrets, urlsplit(superuser)._replace(path="/tenantry").geturl())
    finally:
        shutil.rmtree((folder / "data" / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _make_roles(superuser: str, secrets: Path) -> None:
    """Run what the image of Postgres runs on an empty data folder."""
    with psycopg.connect(superuser, autocommit=True) as connection:
        for made_for_development in ("DATABASE tenantry", "ROLE tenantry", "ROLE tenantry_app"):
            connection.execute(f"DROP {made_for_development}")
    url = urlsplit(superuser)
    where = {"PGHOST": url.hostname, "PGPORT": str(url.port), "PGPASSWORD": url.password}
    path = f"{_binaries()}{os.pathsep}{os.environ['PATH']}"
    script = str(DOCKER / "postgres" / "10-roles.sh")
    told = {"PATH": path, "POSTGRES_USER": url.username, "SECRETS": str(secrets), **where}
    subprocess.run([script], env={name: str(value) for name, value in told.items()}, check=True)


def ask(port: int, path: str, *, host: str = API_HOST) -> int:
    """Ask as the reverse proxy does, and return the status; 0 when nobody answers."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        try:
            connection.request("GET", path, headers={"Host": host, "X-Forwarded-Proto": "https"})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
