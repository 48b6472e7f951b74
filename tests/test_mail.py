"""The outbox: through a real mail server, from the transaction that decides to what arrives."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections import Counter
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, transaction
from django.utils import timezone

from identity.accounts.models import MailedLink, Purpose, User
from identity.mail import background, templates
from identity.mail.delivery import Outcome, deliver
from identity.mail.models import OutgoingMail
from identity.mail.services import enqueue, prune_failed
from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.committed import urls
from tests.conftest import API_HOST, Call
from tests.serving import ask_once, serving
from tests.smtp import MailServer, html_of, text_of, token_of
from tests.test_races import at_once
from tests.test_secrets import hits, stored

ROOT = Path(__file__).parents[1]
OWNER = "owner@acme.test"
JOINED = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 👩\u200d🔧"  # characters that need their joiners
TO = [f"somebody-{number}@mail.test" for number in range(20)]


def forgot(call: Call, address: str) -> None:
    body = {"email": address}
    assert call("nobody", "POST", "/api/v1/auth/password/forgot", body, host=API_HOST).status_code == 202


def put(*addresses: str) -> None:
    """Put mails that need no account into the outbox."""
    for address in addresses:
        enqueue(template="no_account", to=address, context={})


def make_due() -> None:
    OutgoingMail.objects.update(next_attempt_at=timezone.now())


# --- What arrives -----------------------------------------------------------------------------------------------------


def test_a_mail_is_text_and_html_and_says_what_it_is(call: Call, smtp: MailServer, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "Tenantry <no-reply@mail.example>"
    forgot(call, OWNER)
    mail = OutgoingMail.objects.get()
    assert deliver() == {Outcome.SENT: 1}
    (message,) = smtp.messages
    assert message["Subject"] == "Choose a new password for Tenantry"
    assert (message["From"], message["To"]) == ("Tenantry <no-reply@mail.example>", OWNER)
    assert message["Message-ID"] == f"<{mail.pk}@mail.example>"
    assert (message["Auto-Submitted"], message["X-Auto-Response-Suppress"]) == ("auto-generated", "All")
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert "Hello Owner," in text_of(message)
    assert "Hello Owner," in html_of(message)
    assert max(len(line) for line in text_of(message).splitlines() if "token=" not in line) <= 80
    body = {"token": token_of(message), "new_password": "another long password"}
    assert call("nobody", "POST", "/api/v1/auth/password/reset", body, host=API_HOST).status_code == 204
    assert not OutgoingMail.objects.exclude(template="password_changed").exists()


@pytest.mark.parametrize(
    ("name", "in_text", "in_html"),
    [
        ('Zoë "Z" <b>O\'Neil</b> & Søn', 'Zoë "Z" <b>O\'Neil</b> & Søn', "Zoë &quot;Z&quot; &lt;b&gt;O&#x27;Neil"),
        ("{{ token }}{% debug %}", "{{ token }}{% debug %}", "{{ token }}{% debug %}"),
        ("Eve\r\nBcc: eve@evil.test\r\n\r\nBuy this", "Eve Bcc: eve@\u2060evil.\u2060test Buy this", "Eve Bcc: eve@"),
        ("You won: https://evil.test/x", "You won: https:\u2060//evil.\u2060test/x", "https:\u2060//evil.\u2060test/x"),
        ("\u202egnp.exe\u2066 nur", "gnp.\u2060exe nur", "gnp.\u2060exe nur"),
        (JOINED, JOINED, JOINED),
        ("x" * 120, "x" * 120, "x" * 120),
    ],
    ids=["special", "template", "headers", "link", "direction", "joiners", "long"],
)
def test_a_name_does_no_harm(call: Call, smtp: MailServer, name: str, in_text: str, in_html: str) -> None:
    """It stays on its line, is markup in no language, and nothing to click on."""
    User.objects.filter(email=OWNER).update(name=name)
    forgot(call, OWNER)
    assert deliver() == {Outcome.SENT: 1}
    (message,) = smtp.messages
    assert f"Hello {in_text},\n\nSomebody has asked" in text_of(message)
    assert in_html in html_of(message)
    assert {"Bcc", "Cc"}.isdisjoint(message.keys())
    assert token_of(message)


def test_a_name_is_on_one_line_and_not_too_long() -> None:
    assert templates.harmless("a\x00b\x1bc\u2028d \t e") == "a b c d e"
    assert templates.harmless("x" * 500) == "x" * 119 + "…"
    assert templates.harmless("J. R. Smith, St.Gallen, 3:1") == "J. R. Smith, St.\u2060Gallen, 3:1"


@pytest.mark.parametrize(
    "address", ["eve@mail.test\nBcc: eve@evil.test", "eve@mail.test\r\n\r\nBuy this", "a@b.test, c@d.test"]
)
def test_an_address_injects_nothing(db: None, smtp: MailServer, address: str) -> None:
    """Whatever got into the outbox: it is one address, or is not sent. What is behind it is."""
    put(address, "good@mail.test")
    assert deliver() == {Outcome.FAILED: 1, Outcome.SENT: 1}
    assert [message["To"] for message in smtp.messages] == ["good@mail.test"]


def test_a_subject_is_one_line(db: None, smtp: MailServer, settings: Any) -> None:
    settings.PRODUCT_NAME = "Ten\r\nBcc: eve@evil.test\r\nantry ✓"
    put("good@mail.test")
    assert deliver() == {Outcome.SENT: 1}
    assert smtp.messages[0]["Subject"].strip() == "There is no Ten Bcc: eve@evil.test antry ✓ account for this address"
    assert "Bcc" not in smtp.messages[0]


LINKS = {
    "confirm": Purpose.VERIFY,
    "confirm_new_address": Purpose.CHANGE,
    "reset": Purpose.RESET,
    "choose_password": Purpose.RESET,
}


@pytest.mark.parametrize("name", [*LINKS, "account_exists", "no_account", "password_changed", "address_changed"])
def test_every_mail_reads_well(db: None, smtp: MailServer, name: str) -> None:
    """Nothing is left to fill in, in either part, and every link leads to the frontend."""
    user = User.objects.get(email=OWNER)
    context: dict[str, Any] = {"user": user.pk}
    if name in LINKS:
        expires_at = timezone.now() + timedelta(hours=1)
        link = MailedLink.objects.create(user=user, email=OWNER, purpose=LINKS[name], expires_at=expires_at)
        context = {"link": link.pk}
    enqueue(template=name, to=OWNER, context=context)
    assert deliver() == {Outcome.SENT: 1}
    (message,) = smtp.messages
    text, html = text_of(message), html_of(message)
    assert message["Subject"]
    assert not re.search(r"{{|{%|None|&amp;#", text + html)
    assert text.startswith("Hello")
    assert re.search(r"\n-- \nTenantry sent this mail automatically", text)
    hrefs = set(re.findall(r'href="([^"]*)"', html))
    assert {href.partition("#")[0].startswith("http://localhost:8000") for href in hrefs} == {True}
    assert (name in LINKS) == bool(re.search("^tl_", text, re.MULTILINE))


def test_a_mail_of_no_use_is_not_sent(call: Call, smtp: MailServer) -> None:
    """A link that was used, one that expired, one whose account is gone, one for another address."""
    forgot(call, OWNER)
    for number, change in enumerate(
        ({"used_at": timezone.now()}, {"expires_at": timezone.now()}, {"user": None}, {"email": "other@acme.test"})
    ):
        forgot(call, OWNER)
        newest = OutgoingMail.objects.order_by("-created_at")[0]
        assert MailedLink.objects.filter(pk=newest.context["link"]).update(**change) == 1, number
    enqueue(template="password_changed", to=OWNER, context={"user": MailedLink.objects.all()[0].pk})
    assert deliver() == {Outcome.SENT: 1, Outcome.DROPPED: 5}
    assert len(smtp.messages) == 1
    assert not OutgoingMail.objects.exists()


def test_only_mails_that_there_are_can_be_enqueued(db: None) -> None:
    with pytest.raises(LookupError):
        enqueue(template="unheard_of", to=OWNER, context={})
    with pytest.raises(ValueError, match="confirm"):
        templates.register("confirm", dict)


# --- Nothing is lost, and nothing is sent twice -----------------------------------------------------------------------


def test_a_server_that_is_away_costs_nothing_but_time(db: None, smtp: MailServer, caplog: Any) -> None:
    """Only the first mail finds out; all are sent when the server is back."""
    smtp.stop()
    put(*TO[:3])
    with caplog.at_level(logging.DEBUG):
        assert deliver() == {Outcome.FAILED: 1}
    assert "ConnectionRefusedError" in caplog.text
    assert "somebody" not in caplog.text
    first = OutgoingMail.objects.get(attempts=1)
    assert timedelta(seconds=50) < first.next_attempt_at - timezone.now() <= timedelta(minutes=1)
    smtp.start()
    assert deliver() == {Outcome.SENT: 2}
    assert deliver() == {}
    make_due()
    assert deliver() == {Outcome.SENT: 1}
    assert sorted(message["To"] for message in smtp.messages) == TO[:3]
    assert not OutgoingMail.objects.exists()


def test_one_that_is_refused_keeps_nobody_waiting(db: None, smtp: MailServer, caplog: Any) -> None:
    smtp.refused = {TO[0]}
    put(*TO[:3])
    with caplog.at_level(logging.DEBUG):
        assert deliver() == {Outcome.FAILED: 1, Outcome.SENT: 2}
    assert TO[0] not in caplog.text
    assert [message["To"] for message in smtp.messages] == TO[1:3]


def test_a_mail_is_tried_ever_later_and_given_up_after_a_day(db: None, smtp: MailServer) -> None:
    smtp.refused = {TO[0]}
    put(TO[0])
    delays = []
    for _ in range(9):
        make_due()
        assert deliver() == {Outcome.FAILED: 1}
        delays.append(round((OutgoingMail.objects.get().next_attempt_at - timezone.now()).total_seconds() / 60))
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    OutgoingMail.objects.update(created_at=timezone.now() - timedelta(hours=25))
    make_due()
    assert deliver() == {Outcome.FAILED: 1}
    make_due()
    assert deliver() == {}
    assert prune_failed(keep=timedelta(days=30), limit=10) == 0
    OutgoingMail.objects.update(failed_at=timezone.now() - timedelta(days=31))
    assert prune_failed(keep=timedelta(days=30), limit=10) == 1


def test_a_mail_that_cannot_be_written_keeps_nobody_waiting(db: None, smtp: MailServer) -> None:
    """A builder that fails, in the database too, and a template that is no more (or not yet, in this process)."""
    enqueue(template="reset", to=TO[0], context={"link": "no-uuid"})
    put(*TO[1:3])
    OutgoingMail.objects.filter(recipient=TO[1]).update(template="unheard_of")
    assert deliver() == {Outcome.FAILED: 2, Outcome.SENT: 1}
    assert [message["To"] for message in smtp.messages] == [TO[2]]


def test_several_senders_send_each_mail_once(unwrapped: None, smtp: MailServer) -> None:
    put(*TO)
    counts = at_once([deliver] * 4)
    assert sum(counts, Counter()) == {Outcome.SENT: len(TO)}
    assert sorted(message["To"] for message in smtp.messages) == sorted(TO)
    assert not OutgoingMail.objects.exists()


def command(smtp: MailServer) -> subprocess.Popen[bytes]:
    environment = os.environ | urls() | {"DJANGO_SETTINGS_MODULE": "tests.settings", "EMAIL_URL": smtp.url}
    return subprocess.Popen(
        [sys.executable, "manage.py", "send_mail", "--json"], cwd=ROOT, env=environment, stdout=subprocess.PIPE
    )


def test_a_sender_that_is_killed_loses_nothing(unwrapped: None, smtp: MailServer) -> None:
    """Killed while the server has a mail in its hands: nobody else sends it meanwhile, and somebody does afterwards."""
    put(*TO[:3])
    smtp.is_stalled.set()
    process = command(smtp)
    assert smtp.has_stalled.wait(30)
    smtp.is_stalled.clear()
    assert deliver() == {Outcome.SENT: 2}, "the one in hand is locked, and the others are not"
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while not deliver():  # until Postgres has noticed
        assert time.monotonic() < deadline
    assert sorted(message["To"] for message in smtp.messages) == TO[:3]


def test_the_command_says_what_it_did(unwrapped: None, smtp: MailServer) -> None:
    smtp.refused = {TO[0]}
    put(*TO[:3])
    output, _ = command(smtp).communicate()
    assert json.loads(output) == {"sent": 2, "dropped": 0, "failed": 1}
    told = StringIO()
    call_command("send_mail", stdout=told)
    assert told.getvalue() == "Mail: 0 sent, 0 dropped, 0 failed.\n"
    OutgoingMail.objects.all().delete()


def test_what_is_rolled_back_is_not_sent(unwrapped: None, smtp: MailServer) -> None:
    with transaction.atomic():
        put(TO[0])
        transaction.set_rollback(True)
    assert deliver() == {}


# --- In the background ------------------------------------------------------------------------------------------------


def test_a_serving_process_sends_after_the_commit(unwrapped: None, smtp: MailServer, settings: Any) -> None:
    settings.MAIL_DELIVERY = "thread"
    try:
        with transaction.atomic():
            put(TO[0])
            assert smtp.messages == []
        smtp.wait_for(1)
        put(TO[1], TO[2])
        assert sorted(message["To"] for message in smtp.wait_for(3)) == TO[:3]
    finally:
        background.stop()
    assert not OutgoingMail.objects.exists()


def test_a_server_that_is_away_stops_no_request(unwrapped: None, smtp: MailServer, settings: Any) -> None:
    settings.MAIL_DELIVERY = "thread"
    smtp.stop()
    try:
        put(*TO[:3])
        smtp.start()
        put(TO[3])
        make_due()
        put(TO[4])
        smtp.wait_for(4)
    finally:
        background.stop()
    make_due()
    deliver()
    assert sorted(message["To"] for message in smtp.messages) == sorted(TO[:5])


def test_somebody_registers_at_a_running_server(
    unwrapped: None, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker was forked before its thread began. The link works at another process."""
    monkeypatch.setenv("TENANTRY_TEST_MAIL_DELIVERY", "thread")
    monkeypatch.setenv("EMAIL_URL", smtp.url)
    monkeypatch.setenv("EMAIL_VERIFICATION", "required")
    body = {"email": "newcomer@mail.test", "password": "a rather long password"}
    try:
        with serving(2) as ports:
            ask = [partial(ask_once, port, "POST", host=API_HOST) for port in ports]
            assert ask[0]("/api/v1/auth/register", body=body).status == 201
            assert ask[1]("/api/v1/auth/login", body=body).status == 401
            (message,) = smtp.wait_for(1)
            answer = ask[1]("/api/v1/auth/email/verify", body={"token": token_of(message)})
            assert (answer.status, answer.json) == (200, {"email": "newcomer@mail.test", "tenant": None})
            assert ask[0]("/api/v1/auth/login", body=body).status == 200
    finally:
        User.objects.filter(email="newcomer@mail.test").delete()


# --- Behind the wall --------------------------------------------------------------------------------------------------


def test_a_tenant_puts_mail_into_the_outbox_and_reads_nothing_there(unwrapped: None, smtp: MailServer) -> None:
    acme, globex = (Tenant.objects.get(slug=slug) for slug in ("acme", "globex"))
    put(TO[0])
    with enter(acme.pk):
        enqueue(template="no_account", to=TO[1], context={}, tenant_id=acme.pk)
    for forbidden in (
        lambda: enqueue(template="no_account", to=TO[2], context={}, tenant_id=globex.pk),
        lambda: enqueue(template="no_account", to=TO[2], context={}),
        OutgoingMail.objects.first,
        lambda: OutgoingMail.objects.update(recipient=TO[2]),
        lambda: OutgoingMail.objects.all().delete(),
        lambda: list(MailedLink.objects.all()),
    ):
        with pytest.raises(ProgrammingError), enter(acme.pk):
            forbidden()
    assert deliver() == {Outcome.SENT: 2}
    assert sorted(message["To"] for message in smtp.messages) == TO[:2]


def test_nothing_secret_is_in_the_outbox_or_the_log(call: Call, smtp: MailServer, caplog: Any) -> None:
    """Not at rest, and not while it is sent, tried in vain, and used; with every logger saying all it can."""
    with caplog.at_level(logging.DEBUG):
        forgot(call, OWNER)
        mail, link = OutgoingMail.objects.get(), MailedLink.objects.get()
        assert mail.context == {"link": str(link.pk)}
        smtp.refused = {OWNER}
        deliver()
        smtp.refused = set()
        make_due()
        deliver()
        token = token_of(smtp.messages[0])
        at_rest = stored()
        body = {"token": token, "new_password": "another long password"}
        assert call("nobody", "POST", "/api/v1/auth/password/reset", body, host=API_HOST).status_code == 204
    known = {"token": [token.encode(), urlsafe_b64decode(token.removeprefix("tl_") + "==")[-32:]]}
    assert "was put off" in caplog.text
    written = {"log": caplog.text.encode(), "rows": str(MailedLink.objects.values()).encode(), "database": at_rest}
    assert hits(written, known) == []
    assert OWNER not in caplog.text
