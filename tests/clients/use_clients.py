"""What a customer's program does with the generated Python clients: every value it reads is typed, and so is a refusal.

``use_clients.py <base URL> <password>`` prints one line of JSON: what it saw.
"""

import json
import sys
from typing import TypeVar

from tenantry_operator_client import AuthenticatedClient as OperatorClient
from tenantry_operator_client import Client as OperatorStranger
from tenantry_operator_client.api.auth import operator_login
from tenantry_operator_client.api.tenants import operator_tenants_list
from tenantry_operator_client.models import (
    OperatorLoginRequest,
    PaginatedOperatorTenantList,
)
from tenantry_operator_client.models import Tokens as OperatorTokens
from tenantry_tenant_client import AuthenticatedClient, Client
from tenantry_tenant_client.api.auth import auth_login, auth_refresh
from tenantry_tenant_client.api.clients import clients_create, clients_retrieve
from tenantry_tenant_client.api.oauth import oauth_token
from tenantry_tenant_client.api.projects import projects_create, projects_list, projects_partial_update
from tenantry_tenant_client.models import (
    GrantRequest,
    LoginRequest,
    MachineClient,
    NewClient,
    NewClientRequest,
    OAuthTokens,
    PaginatedProjectList,
    PatchedProjectRequest,
    Problem,
    Project,
    ProjectRequest,
    ProjectStatusEnum,
    RefreshRequest,
    Tokens,
)

T = TypeVar("T")


def expect(kind: type[T], value: object) -> T:
    """Return an answer that is of this kind; a program of one's own would decide by the kind."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def never(stranger: Client, owner: AuthenticatedClient) -> None:
    """Nobody calls this: a type checker refuses each of its lines, and says so if it does not."""
    ProjectRequest(nmae="A typo")  # type: ignore[call-arg]
    PatchedProjectRequest(status="gone")  # type: ignore[arg-type]
    projects_list.sync(client=owner, order="name")  # type: ignore[call-arg]
    projects_list.sync(client=stranger)  # type: ignore[arg-type]


def main(url: str, password: str) -> dict[str, object]:
    stranger = Client(base_url=url)

    def sign_in(email: str) -> Tokens:
        body = LoginRequest(email=email, password=password, tenant="acme")
        return expect(Tokens, auth_login.sync(client=stranger, body=body))

    tokens = sign_in("owner@acme.test")
    owner = AuthenticatedClient(base_url=url, token=tokens.access_token)
    viewer = AuthenticatedClient(base_url=url, token=sign_in("viewer@acme.test").access_token)

    made = expect(Project, projects_create.sync(client=owner, body=ProjectRequest(name="By the Python client")))
    change = PatchedProjectRequest(status=ProjectStatusEnum.ARCHIVED)
    changed = expect(Project, projects_partial_update.sync(made.id, client=owner, body=change))
    page = expect(PaginatedProjectList, projects_list.sync(client=viewer, limit=1, ordering="-created_at"))
    following: str | None = page.next_

    refusal = projects_create.sync_detailed(client=viewer, body=ProjectRequest(name="Not mine to make"))
    problem = expect(Problem, refusal.parsed)
    mistaken = expect(Problem, projects_create.sync(client=owner, body=ProjectRequest(name="")))
    bad = auth_login.sync(client=stranger, body=LoginRequest(email="owner@acme.test", password="not this one"))

    refreshed = expect(
        Tokens, auth_refresh.sync(client=stranger, body=RefreshRequest(refresh_token=tokens.refresh_token))
    )
    again = AuthenticatedClient(base_url=url, token=refreshed.access_token)
    asked = NewClientRequest(name="By the Python client", scopes=["projects:read"])
    machine = expect(NewClient, clients_create.sync(client=again, body=asked))
    seen = expect(MachineClient, clients_retrieve.sync(machine.id, client=again))
    grant = GrantRequest(
        grant_type="client_credentials", client_id=str(machine.id), client_secret=machine.client_secret
    )
    granted = expect(OAuthTokens, oauth_token.sync(client=stranger, body=grant))

    staff = OperatorLoginRequest(email="operator@platform.test", password=password)
    operator = expect(OperatorTokens, operator_login.sync(client=OperatorStranger(base_url=url), body=staff))
    platform = OperatorClient(base_url=url, token=operator.access_token)
    tenants = expect(PaginatedOperatorTenantList, operator_tenants_list.sync(client=platform))

    return {
        "tenant": tokens.tenant,
        "made": made.name,
        "status": [made.status.value, changed.status.value],
        "year": made.created_at.year,
        "page": [project.name for project in page.results],
        "goes on": following is not None,
        "refusal": [int(refusal.status_code), problem.code, problem.scope],
        "mistake": [[error.pointer, error.code] for error in mistaken.errors or []],
        "wrong password": expect(Problem, bad).code,
        "rotated": refreshed.refresh_token != tokens.refresh_token,
        "machine": [seen.id == machine.id, seen.scopes, granted.scope],
        "tenants": sorted(tenant.slug for tenant in tenants.results),
    }


if __name__ == "__main__":
    json.dump(main(sys.argv[1], sys.argv[2]), sys.stdout)
