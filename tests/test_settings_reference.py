"""The reference of settings is the code's: up to date, whole, and with a meaning for each variable."""

import re
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config import settings_reference

CONFIG = Path(settings_reference.__file__).parent


def read(tmp_path: Path, text: str) -> dict[str, settings_reference.Variable]:
    """The variables of a module with this text, by name."""
    source = tmp_path / "some_settings.py"
    source.write_text(text)
    return {variable.name: variable for variable in settings_reference.variables(source, "First")}


def test_the_committed_one_is_up_to_date() -> None:
    call_command("settings_reference", "--check")


def test_every_variable_that_is_read_is_in_it() -> None:
    """As a search of the text finds them, which knows nothing of syntax."""
    for name in settings_reference.SOURCES:
        text = (CONFIG / name).read_text()
        read = re.findall(r"(?:env\.[a-z_]+|os\.environ\.get)\(\s*\"([A-Z_]+)\"", text)
        assert len(read) > 2
        document = settings_reference.document()
        assert [variable for variable in read if f"| `{variable}` |" not in document] == []


def test_one_that_is_not_up_to_date_fails_with_a_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "SETTINGS.md"
    copy.write_text(settings_reference.document().replace("`ISSUER`", "`ISUER`", 1))
    monkeypatch.setattr(settings_reference, "FILE", copy)
    with pytest.raises(CommandError, match="not up to date"):
        call_command("settings_reference", "--check")
    assert "-| `ISUER`" in capsys.readouterr().out
    call_command("settings_reference")
    call_command("settings_reference", "--check")


def test_a_variable_without_a_meaning_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "silent.py").write_text('A = env.str("LOUD")  # said\n\nB = env.str("SILENT", default="")\n')
    monkeypatch.setattr(settings_reference, "FOLDER", tmp_path)
    monkeypatch.setattr(settings_reference, "SOURCES", {"silent.py": "Silent"})
    with pytest.raises(CommandError, match=r"what these are for: SILENT\.$"):
        call_command("settings_reference")


def test_where_a_meaning_is_found(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        '# Above it.\nA = env.str("ABOVE")\nB = env.str("BESIDE")  # beside <it>\nC = env.str("NAMELESS")\n\n'
        '# What comes, and NAMED.\nD = env.str("COMES")\nE = env.str("NAMED")\n\n# --- Second ---\n\n'
        'F = {\n    # of one entry\n    "a": env.int("ENTRY"),\n    "b": env.int("OTHER"),  # noqa: X1\n}\n'
        'G = env.str("MAIL")  # smtp://host | none\n',
    )
    assert {name: variable.meaning for name, variable in found.items()} == {
        "ABOVE": "Above it.",
        "BESIDE": "Beside &lt;it>.",
        "NAMELESS": "",
        "COMES": "What comes, and NAMED.",
        "NAMED": "What comes, and NAMED.",
        "ENTRY": "Of one entry.",
        "OTHER": "",
        "MAIL": "smtp://host | none.",
    }
    assert (found["ABOVE"].section, found["ENTRY"].section) == ("First", "Second")


@pytest.mark.parametrize(
    ("code", "kind", "production", "development"),
    [
        ('env.str("X", default="a")', "text", "`a`", "`a`"),
        ('env.str("X", default="")', "text", "none", "none"),
        ('env.str("X")', "text", "none", "none"),
        ('env.str("X", default="a" if IN_DEVELOPMENT else env.NOTSET)', "text", "**required**", "`a`"),
        ('env.str("X", default="a", choices=("a", "b"))', "`a` or `b`", "`a`", "`a`"),
        ('env.str("X", default=f"http://{HOST}:{PORT}")', "text", "`http://HOST:PORT`", "`http://HOST:PORT`"),
        ('Path(env.str("X", default=str(ROOT / ".data")))', "text", "`.data`", "`.data`"),
        ('env.str("X", default=str(DATA_DIR / "x"))', "text", "`DATA_DIR/x`", "`DATA_DIR/x`"),
        ('env.str("X", default=somewhere())', "text", "computed", "computed"),
        ('0 if IN_DEVELOPMENT else env.int("X", default=31_536_000)', "whole number", "`31536000`", "not read"),
        ('env.int("X", default=1024 * 1024)', "whole number", "`1048576`", "`1048576`"),
        ('env.bool("X", default=True)', "`on` or `off`", "`on`", "`on`"),
        ('env.list("X", default=["a", "b"])', "list, by commas", "`a,b`", "`a,b`"),
        ('env.json("X", default={"a": {}})', "JSON", '`{"a": {}}`', '`{"a": {}}`'),
        ('environment.secret("X", env.str("X", default=""))', "text", "**required**", "made on the first start"),
        ('int(os.environ.get("X", "2"))', "whole number", "`2`", "`2`"),
        ('os.environ.get("X", "a:1")', "text", "`a:1`", "`a:1`"),
    ],
)
def test_types_and_defaults(tmp_path: Path, code: str, kind: str, production: str, development: str) -> None:
    found = read(tmp_path, f"X = {code}  # it\n")["X"]
    assert (found.type, found.production, found.development) == (kind, production, development)
