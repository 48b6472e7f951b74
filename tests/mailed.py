"""People who do things by mail, for tests: what they ask, and what they get."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives

from identity.mail.delivery import deliver
from tenants.audit.models import AuditEvent
from tests.conftest import API_HOST, Call

Post = Callable[..., Any]

NEW = {"email": "ada@people.test", "password": "lantern gravel teapot", "name": "Ada"}
ATTACKER = NEW | {"password": "somebody elses secret", "name": "Not Ada"}
OTHER_PASSWORD = "violet harbour engine"
OWNER = "owner@acme.test"


@pytest.fixture
def post(call: Call) -> Post:
    """``post("auth/register", {...})`` returns the response."""

    def post(path: str, body: Any, *, host: str = API_HOST, token: str = "", method: str = "POST") -> Any:
        extra = {"HTTP_AUTHORIZATION": f"Bearer {token}"} if token else {}
        return call("nobody", method, f"/api/v1/{path}", body, host=host, **extra)

    return post


@pytest.fixture
def required(settings: Any) -> None:
    """As in production: no sign-in before the address is proved."""
    settings.EMAIL_VERIFICATION = "required"


def mails_to(address: str) -> list[str]:
    """The subjects of all mail to an address so far."""
    deliver()
    return [message.subject for message in mail.outbox if message.to == [address]]


def token_to(address: str) -> str:
    """The token of the newest mail to an address."""
    deliver()
    message = [message for message in mail.outbox if message.to == [address]][-1]
    assert isinstance(message, EmailMultiAlternatives)
    (token,) = re.findall("^(tl_.*)$", str(message.body), re.MULTILINE)
    return str(token)


def events() -> list[str]:
    return list(AuditEvent.objects.filter(tenant=None).order_by("sequence").values_list("action", flat=True))


def registered(post: Post, body: dict[str, Any] = NEW) -> str:
    """Register, and return the token that came by mail."""
    response = post("auth/register", body)
    assert (response.status_code, response.json()) == (201, {"email": body["email"]})
    return token_to(body["email"])


def forgotten(post: Post, address: str) -> str:
    response = post("auth/password/forgot", {"email": address})
    assert (response.status_code, response.json()) == (202, {"email": address})
    return token_to(address)


def login(post: Post, email: str, password: str, **more: Any) -> Any:
    return post("auth/login", {"email": email, "password": password}, **more)


def prove(post: Post, token: str, **more: Any) -> Any:
    return post("auth/email/verify", {"token": token, **more})


def is_refused(response: Any) -> bool:
    return (response.status_code, response.json()["code"]) == (400, "invalid_link")
