"""Whose address counts behind proxies, and that nobody chooses theirs."""

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse

from config.demo_data import PASSWORD
from config.middleware import ClientAddressMiddleware
from identity.sessions.models import Session
from permissions import limits
from tests.conftest import ACME, Call

PROXY, CLIENT = "10.0.0.1", "203.0.113.5"


def address(forwarded: str | None) -> str:
    """Return what the middleware makes of a request that came from PROXY with this X-Forwarded-For."""
    request = HttpRequest()
    request.META["REMOTE_ADDR"] = PROXY
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    ClientAddressMiddleware(lambda _: HttpResponse())(request)
    return str(request.META["REMOTE_ADDR"])


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, CLIENT, PROXY),  # nobody is trusted
        (1, CLIENT, CLIENT),
        (1, f"  {CLIENT}\t", CLIENT),
        (1, f"192.0.2.66, {CLIENT}", CLIENT),  # what the client sent, then what the proxy saw
        (1, f"192.0.2.66,10.0.0.9,127.0.0.1,{CLIENT}", CLIENT),
        (2, f"192.0.2.66, {CLIENT}, 10.0.0.2", CLIENT),
        (2, f"{CLIENT}, 10.0.0.2", CLIENT),
        (2, "10.0.0.2", PROXY),  # it did not come by both
        (1, None, PROXY),
        (1, "", PROXY),
        (1, f"{CLIENT},", PROXY),
        (1, f"{CLIENT}:51234", CLIENT),
        (1, "2001:db8::5", "2001:db8::5"),
        (1, "2001:DB8:0::5", "2001:db8::5"),
        (1, "[2001:db8::5]:51234", "2001:db8::5"),
        (1, "[2001:db8::5]", "2001:db8::5"),
        (1, "fe80::5%eth0", PROXY),
        (1, "unknown", PROXY),
        (1, "_hidden", PROXY),
        (1, "203.0.113.05", PROXY),
        (1, "203.0.113.5.", PROXY),
        (1, "203.0.113.5:", PROXY),
        (1, "[203.0.113.5", PROXY),
        (1, "1" * 10_000, PROXY),
        (1, "٢٠٣.0.113.5", PROXY),
    ],
)
def test_the_address_that_counts(settings: Any, proxies: int, forwarded: str | None, found: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert address(forwarded) == found


@pytest.mark.parametrize("proxies", [0, 1])
def test_a_client_that_makes_addresses_up(call: Call, settings: Any, proxies: int) -> None:
    """With or without a proxy in front, another X-Forwarded-For is no way around a limit."""
    settings.THROTTLES, settings.TRUSTED_PROXIES = True, proxies
    settings.THROTTLE_RATES = {"sign_in": "3/min"}
    limits.forget()
    behind = f", {CLIENT}" if proxies else ""
    found = [
        call("nobody", "POST", "/api/v1/auth/login", {}, HTTP_X_FORWARDED_FOR=f"198.51.100.{number}{behind}")
        for number in range(4)
    ]
    limits.forget()
    assert [answer.status_code for answer in found] == [400] * 3 + [429]


def test_sessions_show_the_clients_address(call: Call, settings: Any) -> None:
    settings.TRUSTED_PROXIES = 1
    body = {"email": "member@acme.test", "password": PASSWORD}
    answer = call("nobody", "POST", "/api/v1/auth/login", body, host=ACME, HTTP_X_FORWARDED_FOR=f"192.0.2.66, {CLIENT}")
    assert answer.status_code == 200
    assert Session.objects.order_by("-authenticated_at").values_list("ip_address", flat=True)[0] == CLIENT
