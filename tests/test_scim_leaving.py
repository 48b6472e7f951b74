"""What a directory has provisioned goes with its tenant, and no token of it is in any file."""

from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from rest_framework.test import APIClient

from identity.members.models import Membership
from identity.scim import credentials, groups, selectors, services
from identity.scim.models import ScimGroup, ScimGroupMember, ScimToken, ScimUser
from identity.scim.resources import Group, User
from tenants.context.entry import enter
from tenants.lifecycle import deletion, exporting, restoring
from tenants.registry.models import Tenant
from tests.conftest import Call
from tests.leaving import Leaving
from tests.leaving import leaving as leaving  # noqa: PLC0414 -- a fixture
from tests.test_scim import created, member_id
from tests.test_scim import ours as ours  # noqa: PLC0414 -- a fixture
from tests.test_scim import zone as zone  # noqa: PLC0414 -- a fixture

BASE = "http://leaving.localhost/scim/v2"


def furnish(leaving: Leaving) -> str:
    """A described user in a group that gives a role, and the token that could have made them."""
    tenant_id = leaving.tenant.pk
    member = selectors.users_of(tenant_id).get(user=leaving.member)
    described: dict[str, Any] = {"user_name": "planner", "external_id": "00u1", "display_name": "P"}
    services.replace_user(tenant_id=tenant_id, user_id=member.pk, wanted=User(**described), if_match=None, base=BASE)
    wanted = Group.model_validate({"displayName": "Planners", "members": [{"value": str(member.pk)}]})
    made = groups.create_group(tenant_id=tenant_id, wanted=wanted, base=BASE)
    assert made.id is not None
    ScimGroup.objects.filter(pk=made.id).update(role=member.role, custom_role=member.custom_role)
    return credentials.create_token(tenant_id=tenant_id, name="Okta", by=leaving.owner.pk, expires_at=None)[1]


def status(token: str, host: str) -> int:
    answer = APIClient().get("/scim/v2/Users", HTTP_HOST=host, HTTP_AUTHORIZATION=f"Bearer {token}")
    return int(answer.status_code)


@pytest.mark.parametrize("place", ["leaving", "beside"])
def test_a_restored_tenant_has_its_people_and_groups_and_no_token(leaving: Leaving, tmp_path: Path, place: str) -> None:
    token = furnish(leaving)
    assert status(token, "leaving.localhost") == 200
    path = tmp_path / "leaving.zip"
    exporting.export_tenant(tenant_id=leaving.tenant.pk, path=path)
    with ZipFile(path) as file:
        content = b"".join(file.read(name) for name in file.namelist())
    digest = bytes(ScimToken.objects.defer(None).get(tenant=leaving.tenant).digest)
    assert b"Planners" in content
    for secret in (token.encode(), token.partition(".")[2].encode(), digest, digest.hex().encode()):
        assert secret not in content
    if place == "beside":
        restored = restoring.restore_tenant(path=path, slug="beside", name="Copy")
    else:
        deletion.delete_tenant(tenant_id=leaving.tenant.pk, at_once=True)
        assert not ScimGroupMember.objects.exists()
        assert not ScimToken.objects.filter(tenant_id=leaving.tenant.pk).exists()
        restored = restoring.restore_tenant(path=path)
    member = Membership.objects.get(tenant=restored, user=leaving.member)
    user = ScimUser.objects.get(tenant=restored)
    assert (user.membership, user.user_name, user.external_id) == (member, "planner", "00u1")
    group = ScimGroup.objects.get(tenant=restored)
    assert (group.display_name, group.role, group.custom_role) == ("Planners", member.role, member.custom_role)
    assert [row.membership for row in group.members.all()] == [member]
    assert not ScimToken.objects.filter(tenant=restored).exists()
    assert status(token, f"{place}.localhost") in (401, 403)


def test_postgres_keeps_a_tenant_from_anothers_rows_and_from_every_digest(ours: Call) -> None:
    """Whatever the code forgets."""
    created(ours)
    acme, globex = (Tenant.objects.get(slug=slug) for slug in ("acme", "globex"))
    with enter(globex.pk):
        for model in (ScimUser, ScimGroup, ScimGroupMember, ScimToken):
            assert not model.objects.exists()  # type: ignore[attr-defined]  # each has one
    with enter(acme.pk):
        assert ScimUser.objects.count() == ScimToken.objects.count() == 1
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            list(ScimToken.objects.defer(None))
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            ScimGroup.objects.create(tenant_id=globex.pk, display_name="x")
    stranger = member_id("owner@globex.test", "globex")
    ScimUser.objects.create(tenant=acme, membership_id=stranger, user_name="x")
    with connection.cursor() as cursor, pytest.raises(IntegrityError, match="of_tenant"):
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
