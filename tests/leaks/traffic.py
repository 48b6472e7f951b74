"""The clients: each a thread with a connection that stays open, asking for one random tenant after the other.

They know every tenant's rows, so they know what the right answer is, and say of each answer what it was.
"""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from tests.leaks.ground import Row, Tenant
from tests.leaks.provision import ROWS
from tests.leaks.records import SERVED, Exchange, Outcome, Records, Write

_PATH = "/api/v1/projects"
_UNKNOWN = "outcome_unknown"  # the database went away at the commit
_API_HOST = "localhost"
_ANSWER_SECONDS = 15
_PAUSE_SECONDS = 0.05  # after a failure: sooner than Retry-After asks for, to notice when the service is back
_SHARES = (80, 13, 2, 5)  # of lists, single rows, attempts at others' rows, new rows


@dataclass(frozen=True)
class Answer:
    """What came back: nothing at all is status 0, and `raw` then says why."""

    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object in it; an empty one if there is none."""
        try:
            found = json.loads(self.raw)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


Judge = Callable[[Answer], Outcome]


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    judge: Judge
    body: dict[str, str] | None = None


class Traffic:
    """Clients at work from entering to leaving the block."""

    def __init__(self, port: int, tenants: Sequence[Tenant], *, clients: int) -> None:
        self.records = Records()
        self._port, self._tenants = port, tenants
        self._rows = {tenant.slug: list(tenant.rows) for tenant in tenants}
        self._numbers = itertools.count(ROWS)
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Let every client finish its request, and wait for that."""
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _run(self, seed: int) -> None:
        choose = random.Random(seed)  # noqa: S311 -- it chooses tenants, no secrets
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_ANSWER_SECONDS)
        while not self._is_over.is_set():
            if self._exchange(connection, choose) not in SERVED:
                time.sleep(_PAUSE_SECONDS)
        connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, choose: random.Random) -> Outcome:
        tenant, host = choose.choice(self._tenants), _API_HOST
        credentials = choose.choice([*tenant.credentials, *tenant.of_host])
        if credentials in tenant.of_host or choose.random() < 0.5:
            host = tenant.host  # the token says the tenant, or the host does as well
        make = choose.choices((self._list, self._one, self._one_of_others, self._create), _SHARES)[0]
        request = make(tenant, choose)
        began = time.monotonic()
        answer = _ask(connection, request, host=host, credentials=credentials)
        ended = time.monotonic()
        if request.body is not None:
            status = 0 if _is_unknown(answer) else answer.status  # as good as no answer
            self.records.writes.append(Write(tenant, request.body["name"], status))
        outcome = _judge(answer, request.judge)
        what = f"{request.method} {host}{request.path} for {tenant.slug}: {answer.status} {answer.raw[:300]!r}"
        self.records.note(Exchange(began, ended, outcome), what)
        return outcome

    def _list(self, tenant: Tenant, choose: random.Random) -> Request:
        def judge(answer: Answer) -> Outcome:
            names = [row["name"] for row in answer.body["results"]]
            return self._compare(tenant, names, is_all=len(names) >= ROWS)

        return Request("GET", f"{_PATH}?limit=100", _if(200, judge))

    def _one(self, tenant: Tenant, choose: random.Random) -> Request:
        row = choose.choice(self._rows[tenant.slug])

        def judge(answer: Answer) -> Outcome:
            return self._compare(tenant, [answer.body["name"]], is_all=answer.body["name"] == row.name)

        return Request("GET", f"{_PATH}/{row.id}", _if(200, judge))

    def _one_of_others(self, tenant: Tenant, choose: random.Random) -> Request:
        """Ask for a row by an id that another tenant has: there is no such row here."""
        other = choose.choice([other for other in self._tenants if other is not tenant])
        row = choose.choice(self._rows[other.slug])

        def judge(answer: Answer) -> Outcome:
            if answer.status == 404:
                return Outcome.RIGHT
            return _if(200, lambda answer: self._compare(tenant, [answer.body["name"]], is_all=False))(answer)

        return Request("GET", f"{_PATH}/{row.id}", judge)

    def _create(self, tenant: Tenant, choose: random.Random) -> Request:
        name = tenant.name(next(self._numbers))

        def judge(answer: Answer) -> Outcome:
            outcome = self._compare(tenant, [answer.body["name"]], is_all=answer.body["name"] == name)
            self._rows[tenant.slug].append(Row(answer.body["id"], name))  # everybody asks for it from now on
            return outcome

        return Request("POST", _PATH, _if(201, judge), {"name": name})

    def _compare(self, tenant: Tenant, names: list[str], *, is_all: bool) -> Outcome:
        """Say whether rows of these names are a right answer.

        Args:
            is_all: whether these are the rows that had to be in it.
        """
        wrong = [f"{name!r} was shown to {tenant.slug}" for name in names if not tenant.owns(name)]
        if not wrong and not is_all:
            wrong = [f"{tenant.slug} was shown {names} only"]
        self.records.wrong_rows.extend(wrong)
        return Outcome.WRONG if wrong else Outcome.RIGHT


def _if(status: int, judge: Judge) -> Judge:
    return lambda answer: judge(answer) if answer.status == status else Outcome.REFUSED


def _judge(answer: Answer, judge: Judge) -> Outcome:
    if answer.status == 0:
        return Outcome.DISCONNECTED
    if answer.status >= 500:
        return Outcome.UNAVAILABLE if _says_when_to_come_again(answer) else Outcome.BROKEN
    try:
        return judge(answer)
    except (KeyError, TypeError):  # it is not of the form that the API documents
        return Outcome.BROKEN


def _is_unknown(answer: Answer) -> bool:
    return answer.status == 503 and answer.body.get("code") == _UNKNOWN


def _says_when_to_come_again(answer: Answer) -> bool:
    is_problem = answer.headers["Content-Type"] == "application/problem+json"
    says_so = answer.status == 503 and answer.body.get("code") in {"unavailable", _UNKNOWN}
    return is_problem and says_so and str(answer.headers["Retry-After"]).isdigit()


def _ask(connection: http.client.HTTPConnection, request: Request, *, host: str, credentials: dict[str, str]) -> Answer:
    headers = {"Host": host, **credentials, "Content-Type": "application/json"}
    body = None if request.body is None else json.dumps(request.body)
    try:
        connection.request(request.method, request.path, body, headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        connection.close()  # the next request opens it again
        return Answer(0, {}, repr(error).encode())
