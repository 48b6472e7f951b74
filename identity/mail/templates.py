"""From what the outbox holds to what is sent: subject, text and HTML.

Each mail is three Django templates, ``mail/<name>.subject.txt``, ``mail/<name>.txt`` and ``mail/<name>.html``, and a
builder, which is asked for their variables at the moment of sending.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.template import Context, engines

Variables = Mapping[str, Any]
Builder = Callable[[Mapping[str, Any]], Variables | None]

NAME_LENGTH = 120

# What builders make themselves, or was checked to be an address. All else may be what somebody calls themselves.
_AS_THEY_ARE = frozenset({"link", "token", "email"})
_TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})  # Unicode's explicit directions
_WORD_JOINER = "\u2060"  # nothing to see, and no place to break a line
_CLICKABLE = re.compile(r"(?<=\w)\.(?=\w)|:(?=//)|@")

_builders: dict[str, Builder] = {}


@dataclass(frozen=True)
class Content:
    """A mail as it is read."""

    subject: str
    text: str
    html: str


def register(name: str, builder: Builder) -> None:
    """Declare a mail; call it from an app's ``ready()``.

    Args:
        builder: gets the context that was enqueued, with the recipient as ``email``, and returns the variables of the
            templates: there is the place to compute a token and its link. It returns None when the mail is of no use
            any more; then it is not sent. What it returns as ``link``, ``token`` or ``email`` goes in as it is;
            every other text is taken for a name that a stranger chose, see ``harmless``.

    Raises:
        ValueError: another builder has the name.
    """
    if _builders.get(name, builder) is not builder:
        raise ValueError(f"There is a mail {name!r} already.")
    _builders[name] = builder


def is_registered(name: str) -> bool:
    """Tell whether there is such a mail."""
    return name in _builders


def build(name: str, *, context: Mapping[str, Any], email: str) -> Content | None:
    """Return a mail as it is read, or None when it is of no use any more.

    Raises:
        LookupError: there is no such mail, here or yet.
    """
    variables = _builders[name]({**context, "email": email})
    return None if variables is None else render(name, {**variables, "email": email})


def render(name: str, variables: Variables) -> Content:
    """Return a mail's templates, filled in. In HTML everything is escaped; text needs none."""
    values = {key: value if key in _AS_THEY_ARE else _harmless(value) for key, value in variables.items()}
    values["product"] = settings.PRODUCT_NAME
    return Content(
        subject=" ".join(_fill(f"mail/{name}.subject.txt", values, autoescape=False).split()),
        text=_fill(f"mail/{name}.txt", values, autoescape=False).strip() + "\n",
        html=_fill(f"mail/{name}.html", values, autoescape=True),
    )


def harmless(text: str) -> str:
    """Return a name as it may stand in a mail: on one line, not too long, nothing that turns the text around, and
    nothing that a mail program makes a link of. Otherwise whoever chooses a name could have us send what they like.
    """
    line = " ".join("".join(" " if _is_control(char) else char for char in text).split())
    if len(line) > NAME_LENGTH:
        line = line[: NAME_LENGTH - 1] + "…"
    return _CLICKABLE.sub(lambda match: f"{match[0]}{_WORD_JOINER}", line)


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Zl", "Zp"} or unicodedata.bidirectional(char) in _TURNING


def _harmless(value: Any) -> Any:
    return harmless(value) if isinstance(value, str) else value


def _fill(path: str, variables: Variables, *, autoescape: bool) -> str:
    template = engines["django"].engine.get_template(path)  # type: ignore[attr-defined]  # Django's own engine has one
    return str(template.render(Context({**variables}, autoescape=autoescape)))
