"""What the demo tells whoever started it."""

import json

from config.demo_data import ACCOUNTS, OPERATOR_EMAIL, PASSWORD, PROVIDER_PEOPLE, SSO_TENANT, TENANTS
from config.demo_provider import issuer_beside

_EXTRACT = """python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])'"""


def commands(port: int) -> list[tuple[str, str]]:
    """Return commands to paste one after the other, each with what it shows."""
    acme, globex, api = (f"http://{host}:{port}" for host in ("acme.localhost", "globex.localhost", "localhost"))
    member = _login(f"{acme}/api/v1/auth/login", "member@acme.test")
    operator = _login(f"{api}/operator/v1/auth/login", OPERATOR_EMAIL)
    as_member = '-H "Authorization: Bearer $TOKEN"'
    return [
        ("Sign in to acme as a member", f"TOKEN={member}"),
        ("List acme's projects", f"curl -s {acme}/api/v1/projects {as_member}"),
        ("The same token at globex is refused: 403", f"curl -si {globex}/api/v1/projects {as_member}"),
        (
            "List all tenants, as an operator",
            f'curl -s {api}/operator/v1/tenants -H "Authorization: Bearer {operator}"',
        ),
    ]


def as_text(port: int) -> str:
    """Return the tour for a terminal, in rich's markup."""
    people = [f"  {email:<26}{role} of {tenant}" for email, tenant, role in ACCOUNTS]
    hosts = ", ".join(f"http://{tenant}.localhost:{port}" for tenant in TENANTS)
    tour = [f"[dim]# {what}[/]\n{_escape(command)}" for what, command in commands(port)]
    return "\n".join(
        [
            "",
            f"[bold]Tenantry is serving[/]   Docs: http://localhost:{port}/docs",
            f"Tenants: {hosts}",
            "",
            f"[bold]Who can sign in[/] [dim](password of all: {PASSWORD})[/]",
            *people,
            f"  {OPERATOR_EMAIL:<26}platform operator",
            f"[dim]With a browser: http://{SSO_TENANT}.localhost:{port}/sign-in[/]",
            "",
            f"[bold]Single sign-on[/] [dim](README, Every way in)[/]   Identity provider: {issuer_beside(port)}",
            f"  {', '.join(person.email for person in PROVIDER_PEOPLE.values())}",
            "",
            "[bold]Try it[/] [dim](paste into another terminal, one after the other)[/]",
            *tour,
            "",
            "[dim]Mail is printed here, and kept in the data folder. Ctrl-C stops everything.[/]",
        ]
    )


def as_json(port: int) -> str:
    """Return the same for programs, on one line."""
    return json.dumps(
        {
            "docs": f"http://localhost:{port}/docs",
            "api": f"http://localhost:{port}",
            "tenants": {tenant: f"http://{tenant}.localhost:{port}" for tenant in TENANTS},
            "accounts": [{"email": email, "tenant": tenant, "role": role} for email, tenant, role in ACCOUNTS],
            "operator": OPERATOR_EMAIL,
            "password": PASSWORD,
            "identity_provider": issuer_beside(port),
            "commands": [command for _, command in commands(port)],
        }
    )


def _login(url: str, email: str) -> str:
    """Return a command substitution that signs in and gives the access token."""
    body = json.dumps({"email": email, "password": PASSWORD})
    return f"$(curl -s {url} -H 'Content-Type: application/json' -d '{body}' | {_EXTRACT})"


def _escape(text: str) -> str:
    return text.replace("[", r"\[")
