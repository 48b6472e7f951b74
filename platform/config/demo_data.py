"""Who and what the demo is made of. Nothing here is ever seeded outside development."""

from dataclasses import dataclass

from permissions.roles import Role

PASSWORD = "tenantry-demo-password"  # noqa: S105 -- printed by the demo, and good nowhere else
TENANTS = {"acme": "Acme Corporation", "globex": "Globex Industries"}
OPERATOR_EMAIL = "operator@platform.test"

# (address, tenant, role); a person may stand here once for each tenant.
ACCOUNTS: list[tuple[str, str, Role]] = [
    *((f"{role}@{tenant}.test", tenant, role) for tenant in TENANTS for role in Role),
    ("both@people.test", "acme", Role.ADMIN),
    ("both@people.test", "globex", Role.VIEWER),
]

PROJECTS = {
    "acme": {
        "Rocket skates": ["Order wheels", "Test on flat ground", "Write the safety leaflet"],
        "Giant magnet": ["Choose a cliff", "Calibrate"],
    },
    "globex": {
        "Weather machine": ["Find a volcano", "Hire henchmen", "Rehearse the announcement"],
        "Hammock district": ["Compare hammocks"],
    },
}


@dataclass(frozen=True)
class ProviderPerson:
    """Somebody whom the demo's own identity provider knows."""

    email: str
    name: str
    groups: tuple[str, ...] = ()


SSO_TENANT = "acme"
SSO_CLIENT_ID, SOCIAL_CLIENT_ID = "tenantry-sso", "tenantry-social"  # at that provider
PROVIDER_SECRET = "tenantry-demo-client-secret"  # noqa: S105 -- as PASSWORD
# By ``sub``. One has an account, one gets theirs by signing in, and one is of a domain that acme has not proved.
PROVIDER_PEOPLE = {
    "member": ProviderPerson("member@acme.test", "Member", ("staff",)),
    "newcomer": ProviderPerson("newcomer@acme.test", "Newcomer", ("staff", "admins")),
    "stranger": ProviderPerson("stranger@elsewhere.test", "Stranger"),
}
