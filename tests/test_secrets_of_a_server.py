"""The canaries of ``test_secrets.py`` against a running server that logs all it can, and its disk."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from tests.running_demo import ROOT, free_port
from tests.smtp import MailServer, text_of
from tests.test_secrets import PERSON, Life, Send, hits

READY_SECONDS, STOP_SECONDS, ANSWER_SECONDS = 60, 60, 20


def send_to(port: int) -> Send:
    def send(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        with closing(HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)) as server:
            server.request(method, path, body, headers | {"Host": f"{headers['Host']}:{port}"})
            response = server.getresponse()
            return response.status, str(response.getheaders()), response.read()

    return send


@contextmanager
def demo(folder: Path, mail_server: str) -> Iterator[int]:
    """A demo that keeps everything in `folder` and writes all it has to say into the file `output` there; its port."""
    port, deadline = free_port(), time.monotonic() + READY_SECONDS
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "ISSUER"}}
    environment |= {"DATA_DIR": str(folder), "PORT": str(port), "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment |= {"TENANTRY_ENV": "development", "LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json"}
    environment |= {"EMAIL_URL": mail_server, "MAIL_DELIVERY": "thread"}
    command = [sys.executable, "manage.py", "demo", "--json"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    try:
        while b'"docs"' not in (folder / "output").read_bytes():
            assert process.poll() is None, "the demo did not start"
            assert time.monotonic() < deadline, "the demo did not get ready"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def test_a_server_leaves_no_secret_behind(tmp_path: Path, smtp: MailServer) -> None:
    """On its output, in the files of its database with their logs, and wherever else it keeps data."""

    def link_to(address: str) -> str:
        newest = [message for message in smtp.wait_for(2) if message["To"] == address][-1]
        return re.findall(r"^tl_\S+$", text_of(newest), re.MULTILINE)[0]

    with demo(tmp_path, smtp.url) as port:
        life = Life(send_to(port), link_to)
        life.live()
        life.err()
        life.leave()
    home = (tmp_path / "postgres").resolve()
    files = {path for root in (tmp_path, home) for path in root.rglob("*") if path.is_file()}
    files -= {path for path in files if "programs-" in str(path) or path.name in {"output", "secret-key"}}
    disk = b"".join(path.read_bytes() for path in files)
    shutil.rmtree(home)
    life.known["SECRET_KEY"] = [(tmp_path / "secrets" / "secret-key").read_bytes()]
    output = (tmp_path / "output").read_bytes()
    assert (b"/api/v1/auth/login" in output, PERSON.encode() in disk) == (True, True), "the search finds what is there"
    assert hits({"disk": disk}, life.known, lambda core: [core]) == []
    assert hits({"output": output, **life.answers}, life.known) == []
