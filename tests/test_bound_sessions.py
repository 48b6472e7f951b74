"""Sessions good for one tenant alone, because whoever vouches for their person speaks for that tenant alone."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from identity.accounts.models import User
from identity.sessions.proof import FEDERATED, Proof, Way
from identity.sessions.services import Device
from identity.tokens import services as tokens
from identity.tokens.errors import SessionOfOneTenant
from tenants.registry.models import Tenant
from tests.conftest import API_HOST

BOTH = "both@people.test"


@pytest.fixture
def bound(db: None) -> Any:
    """Tokens of somebody in two tenants, whom acme's own provider vouches for."""
    acme = Tenant.objects.get(slug="acme")
    proof = Proof(way=Way.SSO, methods=(FEDERATED,), only_tenant_id=acme.pk)
    person = User.objects.get(email=BOTH)
    return tokens.sign_in(user=person, host_tenant=None, slug="acme", scope="", proof=proof, device=Device(None, ""))


def ask(method: str, path: str, token: str, body: Any = None) -> Any:
    headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
    return getattr(APIClient(), method)(path, body, **headers)


def test_it_is_a_member_of_its_tenant(bound: Any) -> None:
    answer = ask("get", "/api/v1/members", bound.access_token)

    assert answer.status_code == 200
    assert bound.tenant == "acme"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("post", "/api/v1/auth/switch", {"tenant": "globex"}),
        ("get", "/api/v1/me/sessions", None),
        ("patch", "/api/v1/me", {"name": "Somebody else"}),
        ("delete", "/api/v1/me", None),
        ("post", "/api/v1/auth/password/change", {"current_password": "x", "new_password": "y"}),
        ("post", "/api/v1/tenants", {"name": "Mine", "slug": "mine"}),
    ],
)
def test_it_has_no_hand_in_the_persons_own_affairs(bound: Any, method: str, path: str, body: Any) -> None:
    answer = ask(method, path, bound.access_token, body)

    assert answer.status_code == 403
    assert answer.json()["code"] == "insufficient_scope"


def test_it_stays_so_when_it_is_refreshed(bound: Any) -> None:
    answer = APIClient().post("/api/v1/auth/refresh", {"refresh_token": bound.refresh_token}, HTTP_HOST=API_HOST)

    assert answer.json()["scope"] == bound.scope
    assert "sessions:write" not in bound.scope.split()


def test_the_same_person_elsewhere_is_refused(db: None) -> None:
    acme = Tenant.objects.get(slug="acme")
    proof = Proof(way=Way.SSO, methods=(FEDERATED,), only_tenant_id=acme.pk)

    with pytest.raises(SessionOfOneTenant):
        tokens.sign_in(
            user=User.objects.get(email=BOTH),
            host_tenant=None,
            slug="globex",
            scope="",
            proof=proof,
            device=Device(None, ""),
        )
