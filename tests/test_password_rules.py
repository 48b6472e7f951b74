"""Which passwords are refused, and why; and which are the same."""

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import (
    get_default_password_validators,
    password_validators_help_texts,
    validate_password,
)
from django.core.exceptions import ImproperlyConfigured, ValidationError
from hypothesis import given
from hypothesis import strategies as st

from config.demo_data import PASSWORD
from identity.accounts.checks import check_password_rules
from identity.accounts.models import User
from identity.accounts.password_rules import BlocklistRule

ADA = User(email="ada.lovelace@analytical-engines.example", name="Augusta Ada King")


def codes(password: str, user: User = ADA) -> set[str | None]:
    try:
        validate_password(password, user)
    except ValidationError as error:
        return {single.code for single in error.error_list}
    return set()


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "a rather long password",
        "correct horse battery staple",
        "correcthorsebattery",
        "Tr0ub4dor&3 and more",
        "пароль из пяти слов",
        "長いパスワードは安全なパスワードです",
        "🔑🚲🌋🎻🧀🪐🦔🧵🪗🛶🫖🧭🪁🦑🍋",
        "ada has seventeen cats",
        "my dog ate 1234 pies",
        "x8Kq!pL2#vN9@wZ",
        " spaces at both ends ",
        "lantern gravel teapot" * 4 + "!",
    ],
)
def test_a_good_password(password: str) -> None:
    assert codes(password) == set()


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password_too_short"),
        ("x8Kq!pL2#vN9@w", "password_too_short"),
        ("e\u0301" * 14, "password_too_short"),  # 14 characters, however they were typed
        ("x8Kq!pL2#vN9@wZ" * 18, "password_too_long"),
        ("\ufdfa" * 15, "password_too_long"),  # 18 characters each
        ("password12345678", "password_too_common"),
        ("PASSWORD!!!!!!!!!", "password_too_common"),
        ("...Dragon 2026 ...", "password_too_common"),
        ("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44-2026-2026", "password_too_common"),  # full-width letters
        ("aaaaaaaaaaaaaaaaaaaa", "password_repetitive"),
        ("abcabcabcabcabcabc", "password_repetitive"),
        ("PasswordpasswordPASS", "password_repetitive"),
        ("secret-secret-secret-7!", "password_repetitive"),
        ("abcdefghijklmnop", "password_sequence"),
        ("zyxwvutsrqponmlk", "password_sequence"),
        ("01234567890123456789", "password_sequence"),
        ("qwertyuiopasdfgh", "password_sequence"),
        ("QWERTZUIOP-12345", "password_sequence"),
        ("1qaz2wsx3edc4rfv", "password_sequence"),
        ("aaaaabbbbbcccccddddd", "password_sequence"),
        ("azertyuiop_mlkjhgf", "password_sequence"),
        ("ada.lovelace@analytical-engines.example", "password_too_similar"),
        ("AdaLovelace-Lovelace", "password_too_similar"),
        ("analytical.engines!", "password_too_similar"),
        ("AugustaKing-Augusta1", "password_too_similar"),
        ("Tenantry-localhost", "password_too_similar"),
        ("tenantry-12345678", "password_sequence"),
    ],
)
def test_a_bad_password_and_what_is_wrong_with_it(password: str, code: str) -> None:
    assert code in codes(password)


def test_every_refusal_says_what_to_do_or_what_it_is() -> None:
    with pytest.raises(ValidationError) as error:
        validate_password("short", ADA)
    assert error.value.messages == ["This password is too short: use at least 15 characters, such as a few words."]
    assert len(password_validators_help_texts()) == len(get_default_password_validators())


def test_nobody_in_particular_can_have_a_password() -> None:
    validate_password("lantern gravel teapot")
    validate_password("lantern gravel teapot", User())


@given(st.text(max_size=300))
def test_any_text_is_judged(password: str) -> None:
    assert codes(password) is not None


# --- A list of the platform's own -------------------------------------------------------------------------------------


@pytest.fixture
def own_list(tmp_path: Path, settings: Any) -> Iterator[Path]:
    file = tmp_path / "blocked.txt"
    file.write_text("Correct Horse Battery Staple\n\nzoë und die elefanten\n")
    rules = settings.AUTH_PASSWORD_VALIDATORS
    settings.AUTH_PASSWORD_VALIDATORS = [rule | {"OPTIONS": _options(rule, file)} for rule in rules]
    get_default_password_validators.cache_clear()
    yield file
    get_default_password_validators.cache_clear()


def _options(rule: dict[str, Any], file: Path) -> dict[str, Any]:
    return {"file": str(file)} if "Blocklist" in rule["NAME"] else rule.get("OPTIONS", {})


def test_a_list_of_ones_own_is_added(own_list: Path) -> None:
    assert codes("correct horse battery staple") == {"password_too_common"}
    assert codes("Zoe\u0308 und die Elefanten 99!") == {"password_too_common"}
    assert codes("password12345678") >= {"password_too_common"}
    assert codes("lantern gravel teapot") == set()
    assert check_password_rules(None) == []


def test_a_list_that_is_not_there_is_told_at_the_start(own_list: Path) -> None:
    own_list.unlink()
    (error,) = check_password_rules(None)
    assert error.msg == "PASSWORD_BLOCKLIST_FILE cannot be read: FileNotFoundError."
    with pytest.raises(ImproperlyConfigured):
        BlocklistRule(str(own_list)).validate("lantern gravel teapot")


def test_a_project_without_rules_is_told_so(settings: Any) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = []
    get_default_password_validators.cache_clear()
    assert [error.id for error in check_password_rules(None)] == ["accounts.E002"]
    get_default_password_validators.cache_clear()


# --- What is the same password ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_the_same_keys_are_the_same_password_on_every_system(form: Any) -> None:
    typed = "naïve Ångström ﬁancé ½ ①"
    assert check_password(unicodedata.normalize(form, typed), make_password(typed))


def test_other_keys_are_another_password() -> None:
    encoded = make_password("Lantern gravel teapot")
    for other in (
        "lantern gravel teapot",
        "Lantern gravel teapot ",
        "Lantern gravel teapo",
        "Lantern\u200bgravel teapot",
    ):
        assert not check_password(other, encoded)
