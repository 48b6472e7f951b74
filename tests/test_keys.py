"""The key ring: where keys are kept, how they are rotated, and that running processes follow."""

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identity.keys import encryption, selectors, services
from identity.keys.errors import KeyInUse, KeysNotInDatabase
from identity.keys.models import StoredKey
from identity.keys.pem import split_pems
from identity.keys.ring import Algorithm, KeyState, generate_key, load_key
from identity.tokens.tokens import TenantAccessToken
from tests.conftest import API_HOST, CAST, Call, sign_in

JWKS = "/.well-known/jwks.json"
LEAD = timedelta(seconds=1) + settings.SIGNING_KEY_LEAD


def states() -> dict[str, str]:
    """Every key's state, by its id."""
    return {row.kid: state.value for row, state in selectors.stored_keys()}


def active_kid() -> str:
    return selectors.key_ring().active.kid


def published(call: Call) -> set[str]:
    return {key["kid"] for key in call("nobody", "GET", JWKS, host=API_HOST).json()["keys"]}


def let_pass(time: timedelta) -> None:
    """Move every key's times back, as if `time` had passed."""
    for row in StoredKey.objects.all():
        row.activates_at -= time
        row.save(update_fields=["activates_at"])
    selectors.forget()


def signed_by(token: str) -> str:
    return TenantAccessToken(token).kid  # type: ignore[arg-type]  # simplejwt takes the text, and says Token


# --- Rotation ---------------------------------------------------------------------------------------------------------


def test_a_keys_life(call: Call, django_capture_on_commit_callbacks: Any) -> None:
    """Published before it signs, kept until its last token is dead, then gone from the set."""
    first = active_kid()
    with django_capture_on_commit_callbacks(execute=True):
        second = services.rotate().kid
    assert states() == {first: "active", second: "pending"}
    assert (active_kid(), published(call)) == (first, {first, second})

    let_pass(LEAD)
    assert states() == {first: "retiring", second: "active"}
    assert (active_kid(), published(call)) == (second, {first, second})
    assert signed_by(sign_in(CAST["acme_viewer"])["access_token"]) == second

    let_pass(settings.LONGEST_LIFETIME + timedelta(minutes=2))
    assert states() == {first: "spent", second: "active"}
    assert published(call) == {second}

    assert services.prune_keys(keep=timedelta(days=30)) == 0
    let_pass(timedelta(days=31))
    assert services.prune_keys(keep=timedelta(days=30)) == 1
    assert states() == {second: "active"}


def test_rotating_again_while_a_key_waits_changes_nothing(db: None) -> None:
    """A retry is safe; only saying `immediately` moves the waiting one forward."""
    first, second = active_kid(), services.rotate().kid
    assert services.rotate().kid == second
    assert services.rotate(immediately=True).kid == second
    assert states() == {first: "retiring", second: "active"}


def test_a_process_that_has_never_seen_a_key_learns_it_from_the_token(call: Call) -> None:
    """Another process rotated: its tokens are good here at once, at the price of one look."""
    active_kid()  # this process knows the old ring
    services.rotate(immediately=True)
    ring = selectors._stored._ring
    selectors.forget()
    token = sign_in(CAST["acme_viewer"])["access_token"]
    selectors._stored._ring = ring
    header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert call("nobody", "GET", "/api/v1/projects", **header).status_code == 200


def test_made_up_key_ids_cost_at_most_one_look_a_second(db: None) -> None:
    active_kid()
    with CaptureQueriesContext(connection) as queries:
        assert [selectors.find_key(f"made-up-{number}") for number in range(50)] == [None] * 50
    assert len(queries) == 1


def test_retiring_a_key_refuses_its_tokens_at_once(call: Call) -> None:
    """On the next request, whatever this process remembers of the ring; tokens of the next key are good."""
    old = sign_in(CAST["acme_viewer"])["access_token"]
    person = sign_in(CAST["operator"])["access_token"]
    first = active_kid()
    with pytest.raises(KeyInUse):
        services.retire(kid=first)
    services.rotate(immediately=True)
    selectors.forget()
    new = sign_in(CAST["acme_viewer"])["access_token"]
    services.retire(kid=first)  # nothing is forgotten here: the on-commit hook does not run inside a test
    assert selectors.find_key(first) is not None

    def status(token: str, path: str = "/api/v1/projects", **extra: Any) -> int:
        return int(call("nobody", "GET", path, HTTP_AUTHORIZATION=f"Bearer {token}", **extra).status_code)

    assert status(old) == 401
    assert status(person, "/operator/v1/tenants", host=API_HOST) == 401
    assert status(new) == 200
    services.retire(kid=first)
    assert states()[first] == "retired"


def test_a_waiting_key_can_be_called_off(db: None) -> None:
    first, second = active_kid(), services.rotate().kid
    services.retire(kid=second)
    let_pass(LEAD)
    assert (states(), active_kid()) == ({first: "active", second: "retired"}, first)
    assert services.rotate().kid not in {first, second}


# --- Where keys are kept ----------------------------------------------------------------------------------------------


def test_keys_in_the_database_are_encrypted_and_follow_a_change_of_the_secret(db: None) -> None:
    """The old SECRET_KEY as a fallback opens them, rotating writes them anew, and then the fallback can go."""
    first = active_kid()
    stored = bytes(StoredKey.objects.get(pk=first).private_key)
    assert b"PRIVATE KEY" not in stored
    assert load_key(encryption.decrypt(stored)).kid == first
    old = settings.SECRET_KEY
    with override_settings(SECRET_KEY="another secret", SECRET_KEY_FALLBACKS=[old]):
        selectors.forget()
        assert active_kid() == first
        second = services.rotate().kid
    with override_settings(SECRET_KEY="another secret", SECRET_KEY_FALLBACKS=[]):
        selectors.forget()
        assert {key.kid for key in selectors.key_ring().published()} == {first, second}


def test_a_key_that_no_secret_opens_is_left_out_and_told(
    call: Call, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    """Nothing can be signed, probes say so, and rotating at once makes it good again."""
    kid = active_kid()
    settings.SECRET_KEY = "all was lost"
    selectors.forget()
    with caplog.at_level(logging.WARNING), pytest.raises(ImproperlyConfigured, match="signing_keys rotate --now"):
        active_kid()
    assert kid in caplog.text
    ready = call("nobody", "GET", "/health/ready")
    assert (ready.status_code, ready.json()["code"]) == (503, "no_signing_key")
    services.rotate(immediately=True)
    selectors.forget()
    assert active_kid() != kid
    assert call("nobody", "GET", "/health/ready").status_code == 200


def test_an_older_key_does_not_sign_in_the_place_of_one_that_cannot_be_opened(db: None, settings: Any) -> None:
    """Its tokens would outlive its place in the published set."""
    first = active_kid()
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another secret"
    services._create(timezone.now(), Algorithm.ES256)
    settings.SECRET_KEY = old
    selectors.forget()
    assert selectors.find_key(first) is not None
    with pytest.raises(ImproperlyConfigured):
        active_kid()


def test_keys_of_a_file_are_followed_when_it_changes(db: None, tmp_path: Path) -> None:
    """The first signs, all verify; a file that is gone is said in words, without what was in it."""
    file = tmp_path / "keys.pem"
    first, second = generate_key(), generate_key(Algorithm.RS256)
    file.write_text(first)
    with override_settings(SIGNING_KEYS_FILE=str(file)):
        assert (active_kid(), selectors.key_ring().active.algorithm) == (load_key(first).kid, "ES256")
        file.write_text(second + "\n" + first)
        assert (active_kid(), selectors.key_ring().active.algorithm) == (load_key(second).kid, "RS256")
        assert selectors.find_key(load_key(first).kid) is not None
        with pytest.raises(KeysNotInDatabase):
            services.rotate()
        file.unlink()
        with pytest.raises(ImproperlyConfigured, match="cannot be read"):
            selectors.key_ring()


def test_a_text_is_split_into_its_keys() -> None:
    first, second = generate_key(), generate_key()
    assert split_pems(f"# ours\n{first}\n\n{second}")[1] == second
    assert split_pems("") == []


def test_a_deployment_begins_with_one_key(db: None) -> None:
    """Migrating makes it, and nothing makes a second one."""
    assert list(states().values()) == ["active"]
    services.ensure_key()
    assert len(states()) == 1
    StoredKey.objects.all().delete()
    services.ensure_key()
    assert list(states().values()) == ["active"]


# --- What is published ------------------------------------------------------------------------------------------------


def test_the_key_set_has_public_members_only(call: Call) -> None:
    services.rotate(algorithm=Algorithm.RS256)
    selectors.forget()
    response = call("nobody", "GET", JWKS, host=API_HOST)
    elliptic, rsa = response.json()["keys"]
    assert elliptic.keys() == {"kid", "use", "alg", "kty", "crv", "x", "y"}
    assert rsa.keys() == {"kid", "use", "alg", "kty", "n", "e"}
    assert response.headers["Cache-Control"] == "public, max-age=300"
    again = call("nobody", "GET", JWKS, host=API_HOST, HTTP_IF_NONE_MATCH=response.headers["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    assert call("nobody", "GET", JWKS).status_code == 404, "a tenant's host is no issuer"


# --- Staff and commands -----------------------------------------------------------------------------------------------


def test_staff_rotate_and_retire_over_the_api(call: Call) -> None:
    first = active_kid()
    assert [row["state"] for row in call("operator", "GET", "/operator/v1/keys").json()] == ["active"]
    refused = call("operator", "POST", f"/operator/v1/keys/{first}/retire")
    assert (refused.status_code, refused.json()["code"]) == (409, "key_in_use")
    rotated = call("operator", "POST", "/operator/v1/keys/rotate", {}).json()
    assert [row["state"] for row in rotated] == ["pending", "active"]
    retired = call("operator", "POST", f"/operator/v1/keys/{rotated[0]['kid']}/retire").json()
    assert [row["state"] for row in retired] == ["retired", "active"]
    assert call("operator", "POST", "/operator/v1/keys/unknown/retire").status_code == 404
    with override_settings(SIGNING_KEYS=[generate_key()]):
        elsewhere = sign_in(CAST["operator"])["access_token"]
        auth = {"HTTP_AUTHORIZATION": f"Bearer {elsewhere}", "host": API_HOST}
        refused = call("nobody", "POST", "/operator/v1/keys/rotate", {}, **auth)
    assert (refused.status_code, refused.json()["code"]) == (409, "keys_not_in_database")


@pytest.fixture
def command(db: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        call_command("signing_keys", *arguments)
        return capsys.readouterr().out

    return run


def test_the_command_shows_rotates_and_retires(command: Any) -> None:
    first = active_kid()
    assert first in command("list")
    rotated = json.loads(command("--json", "rotate", "--algorithm", "RS256"))
    assert [(key["algorithm"], key["state"]) for key in rotated["keys"]] == [("RS256", "pending"), ("ES256", "active")]
    assert json.loads(command("--json", "rotate", "--now"))["keys"][0]["state"] == KeyState.ACTIVE
    assert json.loads(command("--json", "retire", first))["keys"][1]["state"] == KeyState.RETIRED
    with pytest.raises(CommandError, match="no such key"):
        command("retire", "unknown")
    selectors.forget()
    with pytest.raises(CommandError, match="rotate first"):
        command("retire", active_kid())
    with override_settings(SIGNING_KEYS=[generate_key()]):
        assert "changed there" in command("list")
        with pytest.raises(CommandError, match="change them there"):
            command("rotate")


def test_the_command_rotates_by_age_for_cron(command: Any) -> None:
    command("rotate", "--if-older-than", "90")
    assert len(states()) == 1
    StoredKey.objects.update(created_at=timezone.now() - timedelta(days=91))
    command("rotate", "--if-older-than", "90")
    command("rotate", "--if-older-than", "90")
    assert len(states()) == 2
