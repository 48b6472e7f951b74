"""The reference of settings: each environment variable that the code reads, with the comment beside it.

What is read is the source, not the settings: both environments are in it, whichever one this runs in. A variable's
meaning is the comment at the end of a line that reads it; or else the one right above; or else one above in the same
paragraph, if that names it.
"""

import ast
import io
import json
import re
import tokenize
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from config import environment

FOLDER = Path(__file__).parent
FILE = FOLDER / "SETTINGS.md"
SOURCES = {"settings.py": "Settings", "sign_in_settings.py": "Ways in", "gunicorn.py": "The web server"}

_TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "`on` or `off`",
    "list": "list, by commas",
    "json": "JSON",
    "email_url": "URL",
}
_HEADING = re.compile(r"# --- (.+?) -*")
_FOR_TOOLS = re.compile(r"\s*#?\s*(noqa|type: ignore|pragma).*")
_INTRODUCTION = f"""# Settings

Environment variables, all of them. `manage.py settings_reference` writes this file from the code, and a test compares
the two. `TENANTRY_ENV` says whether this is production, which is the default, or development. Production does not start
without what is **required**. A name in capitals among the defaults stands for the value of that setting.

Secrets can come from files, as containers get them: `<NAME>_FILE` then names the file instead of `<NAME>`. That goes
for {", ".join(f"`{name}`" for name in environment.SECRETS)}."""


class Undocumented(Exception):
    """Variables are read and no comment says what they mean; the message names them."""


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Attributes:
        production, development: its default there, as Markdown.
        meaning: empty when no comment says it.
    """

    name: str
    section: str
    type: str
    production: str
    development: str
    meaning: str


def document() -> str:
    """Return the reference as Markdown.

    Raises:
        Undocumented: a variable has no meaning.
    """
    found = [variable for source, title in SOURCES.items() for variable in variables(FOLDER / source, title)]
    silent = sorted(variable.name for variable in found if not variable.meaning)
    if silent:
        raise Undocumented(f"No comment says what these are for: {', '.join(silent)}.")
    lines = [_INTRODUCTION]
    section = None
    for variable in found:
        if variable.section != section:
            section = variable.section
            lines += [
                f"\n## {section}\n",
                "| variable | type | in production | in development | meaning |",
                "|---|---|---|---|---|",
            ]
        cells = (f"`{variable.name}`", variable.type, variable.production, variable.development, variable.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def variables(source: Path, title: str) -> list[Variable]:
    """Return the variables that a module reads, in order.

    Args:
        title: the section of those in front of its first heading.
    """
    return _Module(source.read_text(), title).variables()


@dataclass(frozen=True)
class _Comment:
    text: str
    is_alone: bool  # on its line


class _Module:
    """A module's tree and its comments, by line."""

    def __init__(self, text: str, title: str) -> None:
        self._title = title
        self._lines = text.splitlines()
        self._tree = ast.parse(text)
        self._parents = {child: node for node in ast.walk(self._tree) for child in ast.iter_child_nodes(node)}
        self._comments = {
            token.start[0]: _Comment(token.string.strip(), token.line.lstrip().startswith("#"))
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }

    def variables(self) -> list[Variable]:
        calls = [node for node in ast.walk(self._tree) if isinstance(node, ast.Call)]
        read = [(call, name) for call in sorted(calls, key=_place) if (name := _variable(call))]
        return [self._variable(call, name) for call, name in read]

    def _variable(self, call: ast.Call, name: str) -> Variable:
        default = _default(call)
        production = _shown(_chosen(default, in_development=False))
        development = _shown(_chosen(default, in_development=True))
        if ast.unparse(getattr(self._parents[call], "func", ast.Constant(""))) == "environment.secret":
            production, development = "**required**", "made on the first start"
        if name == "TENANTRY_ENV":
            development = "`development`"
        return Variable(
            name=name,
            section=self._section(call.lineno),
            type=self._type(call),
            production=production,
            development=development if self._is_read_in_development(call) else "not read",
            meaning=self._meaning(call, name),
        )

    def _type(self, call: ast.Call) -> str:
        choices = [keyword.value for keyword in call.keywords if keyword.arg == "choices"]
        if choices and isinstance(choices[0], ast.Tuple):
            return " or ".join(_shown(choice) for choice in choices[0].elts)
        assert isinstance(call.func, ast.Attribute)  # noqa: S101 -- see _variable
        parent = self._parents[call]
        cast = parent.func.id if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) else "str"
        return _TYPES.get(call.func.attr) or _TYPES.get(cast, "text")

    def _is_read_in_development(self, call: ast.Call) -> bool:
        node: ast.AST = call
        while parent := self._parents.get(node):
            if isinstance(parent, ast.IfExp) and _asks_for_development(parent.test) and parent.orelse is node:
                return False
            node = parent
        return True

    def _section(self, line: int) -> str:
        headings = (_HEADING.fullmatch(self._comments[at].text) for at in range(line, 0, -1) if at in self._comments)
        return next((heading[1] for heading in headings if heading), self._title)

    def _meaning(self, call: ast.Call, name: str) -> str:
        first, last = self._extent(call)
        return _sentence(
            self._beside(call.lineno, call.end_lineno or call.lineno)
            or self._beside(first, last)
            or self._above(first)
            or self._of_the_paragraph(first, {name, *self._targets(call)})
        )

    def _beside(self, first: int, last: int) -> str:
        """The comments at the ends of these lines."""
        found = [self._comments[line] for line in range(first, last + 1) if line in self._comments]
        return " ".join(_said(comment) for comment in found if not comment.is_alone).strip()

    def _extent(self, call: ast.Call) -> tuple[int, int]:
        """The lines of the statement, or of the single entry in a dictionary that takes several."""
        node: ast.AST = call
        while not isinstance(node, ast.stmt):
            parent = self._parents[node]
            if isinstance(parent, ast.Dict) and isinstance(node, ast.expr):
                break
            node = parent
        assert isinstance(node, ast.stmt | ast.expr)  # noqa: S101 -- the loop ends with one
        return node.lineno, node.end_lineno or node.lineno

    def _targets(self, call: ast.Call) -> set[str]:
        node: ast.AST = call
        while not isinstance(node, ast.stmt):
            node = self._parents[node]
        return {name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}

    def _above(self, line: int) -> str:
        """The comment lines right above a line, in order."""
        block: list[str] = []
        while (comment := self._comments.get(line - 1)) and comment.is_alone and not _HEADING.fullmatch(comment.text):
            block.insert(0, _said(comment))
            line -= 1
        return " ".join(block)

    def _of_the_paragraph(self, line: int, names: set[str]) -> str:
        """The nearest comment of the same paragraph that names the variable or its setting."""
        while line > 1 and self._lines[line - 2].strip():
            line -= 1
            text = self._above(line)
            if any(re.search(rf"\b{re.escape(name.rstrip('…'))}", text) for name in names):
                return text
        return ""


def _place(call: ast.Call) -> tuple[int, int]:
    return call.lineno, call.col_offset


def _variable(call: ast.Call) -> str | None:
    """The name of the environment variable that a call reads; None when it reads none."""
    if not isinstance(call.func, ast.Attribute) or not call.args or not isinstance(call.args[0], ast.Constant):
        return None
    of, name = ast.unparse(call.func.value), str(call.args[0].value)
    if (of == "env" and call.func.attr in _TYPES) or (of == "os.environ" and call.func.attr == "get"):
        return name
    if of == "name" and call.func.attr == "startswith":  # all variables that begin so
        return f"{name}…"
    return None


def _default(call: ast.Call) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "default"]
    return named[0] if named else call.args[1] if len(call.args) > 1 else None


def _asks_for_development(test: ast.expr) -> bool:
    return isinstance(test, ast.Name) and test.id == "IN_DEVELOPMENT"


def _chosen(default: ast.expr | None, *, in_development: bool) -> ast.expr | None:
    if isinstance(default, ast.IfExp) and _asks_for_development(default.test):
        return default.body if in_development else default.orelse
    return default


def _shown(value: ast.expr | None) -> str:
    """A default as Markdown."""
    if value is None or ast.unparse(value) in {"''", "[]", "{}"}:
        return "none"
    if ast.unparse(value) == "env.NOTSET":
        return "**required**"
    if isinstance(value, ast.Call) and not (isinstance(value.func, ast.Name) and value.func.id == "str"):
        return "computed"
    return f"`{_text(value)}`"


def _text(value: ast.expr) -> str:
    match value:
        case ast.Constant(value=constant):
            text = str(constant) if not isinstance(constant, bool) else "on" if constant else "off"
        case ast.List(elts=items):
            text = ",".join(map(_text, items))
        case ast.JoinedStr(values=parts):
            text = "".join(map(_text, parts))
        case ast.FormattedValue(value=inner) | ast.Call(func=ast.Name(id="str"), args=[inner]):
            text = _text(inner)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            text = _text(right) if ast.unparse(left) == "ROOT" else f"{_text(left)}/{_text(right)}"
        case ast.BinOp(left=ast.Constant(value=int(left)), op=ast.Mult(), right=ast.Constant(value=int(right))):
            text = str(left * right)
        case ast.Dict():
            text = json.dumps(ast.literal_eval(value))
        case ast.Attribute(value=ast.Name(id=module), attr=name) if name.isupper():
            text = str(getattr(import_module(f"config.{module}"), name))
        case _:
            text = ast.unparse(value)
    return text


def _said(comment: _Comment) -> str:
    return _FOR_TOOLS.sub("", comment.text.removeprefix("#")).strip()


def _sentence(text: str) -> str:
    if not text:
        return ""
    is_word = re.match(r"[a-z]+\b(?!\S*://)", text)
    text = (text[0].upper() if is_word else text[0]) + text[1:] + ("" if text.endswith((".", ")")) else ".")
    return re.sub(r"<(?=[\w/])", "&lt;", text)
