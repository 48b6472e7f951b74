"""Copies of the checkout, for tests that write code into it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
_NOT_CODE = (
    ".git",
    ".venv",
    ".data",
    ".clients",
    "__pycache__",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    ".coverage*",
)
# What says where the environment is, and nothing of this run's: its settings, its database, its place among others.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


def copy(folder: Path, *, without: Iterable[str] = ()) -> Path:
    """Copy the checkout, with what mypy knows of it, into a new `folder`, and return that.

    Args:
        without: patterns of names of files and folders to leave out.
    """
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_CODE, *without), symlinks=True)
    (folder / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    return folder


def environment(**more: str) -> dict[str, str]:
    """The environment of somebody who develops."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return inherited | {"TENANTRY_ENV": "development", "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(folder: Path, *command: str, status: int = 0, **more: str) -> str:
    """Run a Python command in a copy, and return what it printed.

    Raises:
        AssertionError: it ends with another `status`.
    """
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )
    assert result.returncode == status, f"{command}:\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr
