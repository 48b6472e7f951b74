"""People with second factors, for tests: how they get them, and how they sign in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pyotp import TOTP

from config.demo_data import PASSWORD
from identity.factors.models import Factor
from tests.authenticator import Passkey
from tests.conftest import API_HOST, Call

ME = "/api/v1/me/second-factors"
AUTH = "/api/v1/auth"
OPERATORS = "/operator/v1/auth"
BOTH = "both@people.test"

Post = Callable[..., Any]


@dataclass
class Person:
    """Somebody who signs in on the API host, and what they have."""

    call: Call
    email: str = BOTH
    password: str = PASSWORD
    auth: str = AUTH
    secret: str = ""
    token: str = ""
    refresh_token: str = ""
    codes: tuple[str, ...] = ()

    def ask(self, method: str, path: str, body: Any = None, *, host: str = API_HOST, as_nobody: bool = False) -> Any:
        headers = {} if as_nobody or not self.token else {"HTTP_AUTHORIZATION": f"Bearer {self.token}"}
        return self.call("nobody", method, path, body, host=host, **headers)

    def login(self, **more: Any) -> Any:
        return self.ask(
            "POST", f"{self.auth}/login", {"email": self.email, "password": self.password, **more}, as_nobody=True
        )

    def waiting(self, **more: Any) -> dict[str, Any]:
        """The problem of a sign-in that waits for a second factor."""
        response = self.login(**more)
        assert (response.status_code, response.json()["code"]) == (401, "second_factor_required"), response.content
        problem: dict[str, Any] = response.json()
        return problem

    def answer(self, challenge: str, *, auth: str = "", host: str = API_HOST, **given: Any) -> Any:
        body = {"challenge": challenge, **given}
        return self.ask("POST", f"{auth or self.auth}/second-factor", body, host=host, as_nobody=True)

    def sign_in(self, **more: Any) -> "Person":
        """Sign in, all the way."""
        response = self.login(**more)
        if response.status_code == 401:
            response = self.answer(response.json()["challenge"], code=self.code())
        return self.keep(response)

    def keep(self, response: Any) -> "Person":
        assert response.status_code == 200, response.content
        self.token, self.refresh_token = response.json()["access_token"], response.json()["refresh_token"]
        return self

    def refresh(self) -> "Person":
        body = {"refresh_token": self.refresh_token}
        return self.keep(self.ask("POST", f"{self.auth}/refresh", body, as_nobody=True))

    def code(self, steps: int = 0) -> str:
        """A code of the app that was not used: used ones are forgotten, so that no test waits half a minute."""
        Factor.objects.filter(user__email=self.email, kind="totp").update(last_step=0)
        return self.code_shown(steps)

    def code_shown(self, steps: int = 0) -> str:
        """What the app shows now, or so many steps later."""
        return TOTP(self.secret).at(time.time(), counter_offset=steps)

    def add_app(self) -> Any:
        begun = self.ask("POST", f"{ME}/totp").json()
        self.secret = begun["secret"]
        added = self.ask(
            "POST", f"{ME}/totp/confirm", {"challenge": begun["challenge"], "code": self.code_shown(), "name": "Phone"}
        )
        assert added.status_code == 201, added.content
        self.codes = tuple(added.json()["recovery_codes"] or self.codes)
        return added

    def add_passkey(self, passkey: Passkey, name: str = "Laptop") -> Any:
        begun = self.ask("POST", f"{ME}/passkeys/options")
        assert begun.status_code == 201, begun.content
        credential = passkey.create(begun.json()["options"])
        return self.ask("POST", f"{ME}/passkeys", {"credential": credential, "name": name})

    def passkey_options(self) -> dict[str, Any]:
        options: dict[str, Any] = self.ask("POST", f"{self.auth}/passkey/options", as_nobody=True).json()["options"]
        return options


@pytest.fixture
def both(call: Call) -> Person:
    """Somebody in two tenants, signed in by a password."""
    return Person(call).sign_in()


@pytest.fixture
def with_app(both: Person) -> Person:
    """The same, with an authenticator app and recovery codes."""
    both.add_app()
    return both.refresh()


def is_invalid(response: Any) -> bool:
    return (response.status_code, response.json()["code"]) == (401, "invalid_factor")
