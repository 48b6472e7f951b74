"""One's own account: changing and deleting it."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError

from config.demo_data import PASSWORD
from identity.accounts import services
from identity.accounts.models import User
from identity.accounts.signals import account_deleting
from identity.members.models import Membership
from tenants.audit.models import AuditEvent
from tenants.context.entry import as_person
from tenants.registry.errors import SlugTaken
from tests.conftest import CAST, Call, sign_in
from tests.mailed import OWNER, Post, events, login


def test_people_change_what_they_are_called_and_where_they_are(call: Call) -> None:
    change = {"name": " Zoë ", "locale": "pt-BR", "time_zone": "America/Recife"}
    answer = call("acme_member", "PATCH", "/api/v1/me", change)
    assert answer.status_code == 200
    expected = change | {"name": "Zoë", "email": "member@acme.test", "email_verified": True, "role": "member"}
    assert expected.items() <= answer.json().items()
    assert call("acme_member", "GET", "/api/v1/me").json() == answer.json()
    assert call("acme_member", "PATCH", "/api/v1/me", {"name": ""}).json()["name"] == ""
    assert User.objects.get(email=OWNER).name == "Owner"


@pytest.mark.parametrize("change", [{"email": "a@b.test"}, {"email_verified": True}, {"role": "owner"}, {"locale": ""}])
def test_people_change_nothing_else_of_themselves(call: Call, change: dict[str, Any]) -> None:
    response = call("acme_member", "PATCH", "/api/v1/me", change)
    assert (response.status_code, response.json()["code"]) == (400, "validation_error")


def test_postgres_lets_people_change_no_more(db: None) -> None:
    user, other = User.objects.get(email=OWNER), User.objects.get(email="admin@acme.test")
    with as_person(user.pk):
        assert User.objects.filter(pk=user.pk).update(name="Me") == 1
        assert User.objects.filter(pk=other.pk).update(name="Me") == 0
    for values in ({"email": "a@b.test"}, {"password": "x"}, {"email_verified_at": None}, {"is_active": True}):
        with pytest.raises(ProgrammingError), as_person(user.pk):
            User.objects.filter(pk=user.pk).update(**values)


def test_an_account_is_deleted_with_all_that_is_nothing_without_it(post: Post) -> None:
    access = sign_in(CAST["acme_viewer"])["access_token"]
    user = User.objects.get(email="viewer@acme.test")
    before = events()
    response = post("me", None, method="DELETE", token=access)
    assert (response.status_code, response.content) == (204, b"")
    assert post("me", None, method="GET", token=access).status_code == 401
    assert login(post, "viewer@acme.test", PASSWORD).status_code == 401
    assert not User.objects.filter(pk=user.pk).exists()
    assert not Membership.objects.filter(user_id=user.pk).exists()
    assert events()[len(before) :] == ["account.deleted"]
    assert AuditEvent.objects.filter(tenant=None).latest("sequence").targets[0]["id"] == str(user.pk)


def test_deleting_an_account_needs_a_recent_sign_in(post: Post, settings: Any) -> None:
    access = sign_in(CAST["acme_viewer"])["access_token"]
    settings.STEP_UP_MAX_AGE = timedelta(seconds=-5)
    response = post("me", None, method="DELETE", token=access)
    assert (response.status_code, response.json()["code"]) == (401, "insufficient_user_authentication")
    assert User.objects.filter(email="viewer@acme.test").exists()


def test_an_account_that_somebody_needs_is_kept(post: Post) -> None:
    access = sign_in(CAST["acme_viewer"])["access_token"]

    def refuse(**signal: Any) -> None:
        raise SlugTaken

    account_deleting.connect(refuse)
    try:
        response = post("me", None, method="DELETE", token=access)
    finally:
        account_deleting.disconnect(refuse)
    assert response.status_code == 409
    assert post("me", None, method="GET", token=access).status_code == 200


def test_closing_and_reopening_is_recorded_once(db: None) -> None:
    user, before = User.objects.get(email=OWNER), events()
    for is_active in (False, False, True, True):
        services.set_active(user_id=user.pk, is_active=is_active)
    assert events()[len(before) :] == ["account.closed", "account.reopened"]
