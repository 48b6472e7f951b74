"""Events as files, line by line: a long trail never is in memory as a whole."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute (OWASP, CSV injection)

Row = dict[str, Any]


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    media_type: str
    lines: Callable[[Iterable[Row]], Iterator[str]]


class _Line:
    """What ``csv`` writes to: it gives back the line."""

    def write(self, line: str) -> str:
        return line


def _as_jsonl(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _as_csv(rows: Iterable[Row]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield str(writer.writerow(_COLUMNS))
    for row in rows:
        yield str(writer.writerow([_cell(_value(row, column)) for column in _COLUMNS]))


_COLUMNS = (
    "sequence", "occurred_at", "action", "actor.kind", "actor.id", "actor.name", "actor.act", "actor.session_id",
    "targets", "changes", "address", "request_id", "id", "previous_hash", "hash",
)  # fmt: skip


def _value(row: Row, column: str) -> Any:
    name, _, inner = column.partition(".")
    return row[name][inner] if inner else row[name]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(_FORMULA) else text


FORMATS = {"csv": Format("text/csv; charset=utf-8", _as_csv), "jsonl": Format("application/jsonl", _as_jsonl)}
