"""Acme's single sign-on in the demo: its domain, proved, and a connection to the demo's own identity provider."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from config.demo_data import PROVIDER_SECRET, SSO_CLIENT_ID, SSO_TENANT
from config.demo_provider import LOGOUT_URI_FILE, issuer_beside
from identity.accounts import selectors as accounts
from identity.domains import selectors as domain_selectors
from identity.domains import services as domains
from identity.domains.models import DomainClaim
from identity.sso import selectors, services
from identity.sso.addresses import backchannel_logout_uri
from identity.sso.models import Connection
from identity.sso.services import Caller
from permissions import policy
from permissions.principals import Kind
from permissions.roles import Role
from tenants.registry import selectors as registry

_DOMAIN = f"{SSO_TENANT}.test"
_CLAIM_DAYS = 3650  # nobody can prove it again: there is no such domain


@transaction.atomic
def seed() -> str:
    """Create what is missing, point the connection at where the provider is now, and return what was done in words."""
    tenant, owner = registry.tenant_by_slug(SSO_TENANT), accounts.user_by_email(f"{Role.OWNER}@{_DOMAIN}")
    assert tenant is not None  # noqa: S101 -- seeded before
    assert owner is not None  # noqa: S101 -- as above
    caller = Caller(tenant_id=tenant.pk, by=owner.pk, held=policy.granted(Kind.MEMBER, Role.OWNER))
    if domain_selectors.proof_of(tenant_id=tenant.pk, email=owner.email) is None:
        _prove_domain(caller)
    found = selectors.connections_of(tenant.pk).filter(client_id=SSO_CLIENT_ID).first()
    is_there = found is not None and found.issuer == issuer_beside(settings.PORT)
    connection = found if found and is_there else _connect(caller, found)
    LOGOUT_URI_FILE.parent.mkdir(parents=True, exist_ok=True)
    LOGOUT_URI_FILE.write_text(backchannel_logout_uri(connection.pk))
    return "" if is_there else "single sign-on"


def _prove_domain(caller: Caller) -> None:
    claim = domains.add_domain(
        tenant_id=caller.tenant_id,
        domain=_DOMAIN,
        auto_join=False,
        join_role=Role.MEMBER,
        by=caller.by,
        held=caller.held,
    )
    now = timezone.now()
    rows = DomainClaim.objects.filter(pk=claim.pk)
    rows.update(proved_at=now, checked_at=now, expires_at=now + timedelta(days=_CLAIM_DAYS))


def _connect(caller: Caller, found: Connection | None) -> Connection:
    values = {"issuer": issuer_beside(settings.PORT), "client_id": SSO_CLIENT_ID, "client_secret": PROVIDER_SECRET}
    if found is not None:
        made = services.change_connection(caller=caller, connection_id=found.pk, values=values)
    else:
        about = {
            "name": "Demo provider",
            "joins": True,
            "groups_claim": "groups",
            "group_roles": [{"group": "admins", "role": Role.ADMIN.value}],
        }
        made = services.create_connection(caller=caller, values=values | about)
    services.note_trial(connection_id=made.pk, as_of=made.updated_at)
    return services.enable_connection(caller=caller, connection_id=made.pk)
