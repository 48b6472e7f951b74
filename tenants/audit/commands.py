"""Who started a command, for the audit trail."""

import os
import pwd
from collections.abc import Mapping

NAME_LENGTH = 150
_DECLARED_LENGTH = 100

# By which variables systems of continuous integration say whose push, or click, it was.
_CI_PEOPLE = (
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILDKITE_BUILD_CREATOR",
    "CIRCLE_USERNAME",
    "DRONE_COMMIT_AUTHOR",
    "BUILD_REQUESTEDFOR",
    "BUILD_USER_ID",
)


def started_by(environ: Mapping[str, str]) -> str:
    """Return who runs this process: what the environment says (``TENANTRY_ACTOR``, or the person of a CI run as
    ``ci:<name>``), followed by the user of the operating system, which nobody but root can choose.
    """
    declared = environ.get("TENANTRY_ACTOR", "")
    if not declared and environ.get("CI", "").lower() not in {"", "0", "false"}:
        declared = "ci:" + next((environ[name] for name in _CI_PEOPLE if environ.get(name)), "unknown")
    user = f"os:{_os_user()}"
    if environ.get("SUDO_USER"):
        user += f" by sudo from {_plain(environ['SUDO_USER'])}"
    return (f"{_plain(declared)} ({user})" if declared else user)[:NAME_LENGTH]


def _plain(text: str) -> str:
    """Return text as it may stand in a log: one line, not too long."""
    return "".join(character for character in text if character.isprintable())[:_DECLARED_LENGTH]


def _os_user() -> str:
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container may run under a number that has no name
        return str(number)
