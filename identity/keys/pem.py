"""Texts that hold several keys."""

import re

_END = re.compile(r"-----END [A-Z ]+-----")


def split_pems(text: str) -> list[str]:
    """Return the PEM blocks of a text that holds one or more."""
    blocks, start = [], 0
    for match in _END.finditer(text):
        blocks.append(text[start : match.end()].strip() + "\n")
        start = match.end()
    return blocks
