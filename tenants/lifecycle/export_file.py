"""The file that a tenant is exported to: a zip of parts, each with its checksum in ``manifest.json``, which comes last.

It is written and read as a stream, whatever its size. The manifest carries a seal, keyed with SECRET_KEY: what a file
says is run with the rights of the tables' owner, so a file that this platform did not write is not believed.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from tenants.lifecycle.errors import BrokenExport, ForeignExport

FORMAT = 1
MANIFEST = "manifest.json"
_MOST_OF_MANIFEST = 64 * 2**20
_CHUNK = 2**18


@dataclass(frozen=True)
class Part:
    """A part of the file, as the manifest has it.

    Attributes:
        rows: how many; 0 for what has none.
        size: in bytes, not compressed.
    """

    name: str
    rows: int
    size: int
    sha256: str


class Writer:
    """Writes a file, part by part. Under its own name it is there when it is whole, and not before."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._parts: list[Part] = []

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        draft = path.with_name(f"{path.name}.partial")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
                    yield cls(archive)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def write(self, name: str, blocks: Iterable[bytes]) -> Part:
        """Write one part; each of its rows ends with a newline."""
        digest, rows, size = hashlib.sha256(), 0, 0
        with self._archive.open(name, "w", force_zip64=True) as stream:
            for chunk in _gathered(blocks):
                digest.update(chunk)
                rows += chunk.count(b"\n")
                size += len(chunk)
                stream.write(chunk)
        part = Part(name, rows, size, digest.hexdigest())
        self._parts.append(part)
        return part

    def finish(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Write the manifest, with all parts and the seal, and return it."""
        whole = {"format": FORMAT, **manifest, "parts": [vars(part) for part in self._parts]}
        whole["seal"] = _seals(whole)[0]
        self._archive.writestr(MANIFEST, json.dumps(whole, indent=1, ensure_ascii=False))
        return whole


class Reader:
    """Reads a file that has been looked at: every part that the manifest names is there, and no other."""

    def __init__(self, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self._archive = archive
        self.parts = {part["name"]: Part(**part) for part in manifest["parts"]}

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, foreign: bool = False) -> Iterator[Self]:
        """Open a file.

        Args:
            foreign: believe a file that was not sealed here. It is run with the rights of the tables' owner.

        Raises:
            BrokenExport: it is none, or not whole.
            ForeignExport: it has no seal of this platform's.
        """
        with _told(), zipfile.ZipFile(path) as archive:
            manifest = _manifest(archive)
            _check_seal(manifest, foreign=foreign)
            reader = cls(archive, manifest)
            reader._check_parts()
            yield reader

    def read(self, name: str) -> Iterator[bytes]:
        """Yield a part's bytes.

        Raises:
            BrokenExport: they are not those that were written. What was yielded before is not to be kept.
        """
        part, digest = self._part(name), hashlib.sha256()
        with _told(), self._archive.open(name) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                yield chunk
        if digest.hexdigest() != part.sha256:
            raise BrokenExport(f"{name} is not what was exported: its checksum is another one.")

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield a part's lines; otherwise as ``read``."""
        rest = b""
        for chunk in self.read(name):
            *whole, rest = (rest + chunk).split(b"\n")
            yield from whole
        if rest:
            raise BrokenExport(f"{name} ends in the middle of a line.")

    def verify(self) -> None:
        """Read all of the file.

        Raises:
            BrokenExport: some of it is not what was written.
        """
        for name in self.parts:
            for _ in self.read(name):
                pass

    def _part(self, name: str) -> Part:
        if name not in self.parts:
            raise BrokenExport(f"{name} is missing.")
        return self.parts[name]

    def _check_parts(self) -> None:
        sizes = {entry.filename: entry.file_size for entry in self._archive.infolist() if entry.filename != MANIFEST}
        if len(self._archive.infolist()) != len(sizes) + 1:
            raise BrokenExport("The file holds something twice.")
        for name in sizes.keys() ^ self.parts.keys():
            raise BrokenExport(f"{name} is {'missing' if name in self.parts else 'not in the manifest'}.")
        for name, part in self.parts.items():
            if sizes[name] != part.size:
                raise BrokenExport(f"{name} has {sizes[name]} bytes where {part.size} were exported.")


@contextmanager
def _told() -> Iterator[None]:
    """Say of whatever is wrong with a zip that the file is broken."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BrokenExport(f"The file is damaged: {error}.") from error


def _manifest(archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise BrokenExport(f"It has no {MANIFEST}: it is no export of a tenant, or not a whole one.")
    if archive.getinfo(MANIFEST).file_size > _MOST_OF_MANIFEST:
        raise BrokenExport(f"Its {MANIFEST} is larger than any.")
    try:
        manifest = json.loads(archive.read(MANIFEST))
    except ValueError as error:
        raise BrokenExport(f"Its {MANIFEST} is no JSON.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BrokenExport(f"Its format is not {FORMAT}, which is what can be read here.")
    return manifest


def _check_seal(manifest: dict[str, Any], *, foreign: bool) -> None:
    seal = str(manifest.get("seal", ""))
    if not foreign and not any(constant_time_compare(seal, own) for own in _seals(manifest)):
        raise ForeignExport


def _seals(manifest: dict[str, Any]) -> list[str]:
    """Return the seal of a manifest under the present SECRET_KEY, then under former ones."""
    content = json.dumps({name: manifest[name] for name in manifest if name != "seal"}, sort_keys=True)
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return [salted_hmac("tenants.lifecycle", content, secret=key, algorithm="sha256").hexdigest() for key in keys]


def _gathered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks in pieces that are worth compressing: Postgres sends a row at a time."""
    gathered = bytearray()
    for block in blocks:
        gathered += block
        if len(gathered) >= _CHUNK:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def as_lines(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield texts without line breaks as the rows of a part."""
    for text in texts:
        yield text.encode() + b"\n"
