"""The tenant context around whole requests: streams, errors, signals, and what is cached."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models.signals import post_save
from django.http import StreamingHttpResponse
from django.test import override_settings
from rest_framework.request import Request
from rest_framework.test import APIClient

from examples.projects.models import Project
from permissions.decorators import require_scopes
from tenants.context.cache import make_key
from tenants.context.entry import current_tenant, enter, in_tenant
from tenants.registry.models import Tenant
from tests.conftest import ACME, CAST, Call, sign_in
from tests.test_declarations import routed


def names() -> Iterator[str]:
    """Each project's name, read while the response is already on its way."""
    for project in Project.objects.order_by("name").iterator(chunk_size=1):
        yield f"{project.name}\n"


@require_scopes(GET="projects:read", POST="projects:write")
def export(request: Request) -> StreamingHttpResponse:
    if request.method == "POST":
        Project.objects.create(name="Written before the stream", created_by=request.user.pk)
    return StreamingHttpResponse(names(), content_type="text/plain")


@pytest.fixture
def client(unwrapped: None) -> Iterator[APIClient]:
    """A client of acme's owner, for a project whose only endpoint streams."""
    token = sign_in(CAST["acme_owner"])["access_token"]
    with routed(export) as errors:
        assert errors == []
        with override_settings(TENANT_URLCONF="tests.probe_urls"):
            yield APIClient(headers={"authorization": f"Bearer {token}", "host": ACME})


def test_a_stream_is_inside_its_tenant_to_its_end(client: APIClient) -> None:
    """And the context, with the transaction, ends when it does."""
    response: Any = client.get("/probe/0")
    stream = iter(response.streaming_content)
    assert next(stream) == b"Giant magnet\n"
    assert in_tenant()
    assert list(stream) == [b"Rocket skates\n"]
    assert not in_tenant()
    assert not connection.in_atomic_block


def test_a_stream_that_nobody_reads_on_is_rolled_back(client: APIClient) -> None:
    """The client went away: what was written with the request is not there, and nobody stays inside."""
    response: Any = client.post("/probe/0")
    next(iter(response.streaming_content))
    response.close()
    assert not in_tenant()
    with enter(Tenant.objects.get(slug="acme").pk):
        assert not Project.objects.filter(name="Written before the stream").exists()


def test_signals_are_inside_the_tenant(call: Call) -> None:
    seen = []

    def listen(**signal: Any) -> None:
        seen.append((current_tenant().slug, Project.objects.count()))

    post_save.connect(listen, sender=Project)
    try:
        assert call("acme_member", "POST", "/api/v1/projects", {"name": "Heard"}).status_code == 201
    finally:
        post_save.disconnect(listen, sender=Project)
    assert seen == [("acme", 3)]


# --- The cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tenants(unwrapped: None) -> Iterator[tuple[Tenant, Tenant]]:
    cache.clear()
    yield Tenant.objects.get(slug="acme"), Tenant.objects.get(slug="globex")
    cache.clear()


def test_what_a_tenant_caches_is_its_own(tenants: tuple[Tenant, Tenant]) -> None:
    """The same key, in two tenants and in none, is three entries."""
    acme, globex = tenants
    cache.set("report", "nobody's")
    for tenant in tenants:
        with enter(tenant.pk):
            assert cache.get("report") is None
            assert cache.add("report", tenant.slug)
            cache.set_many({"a": 1, "b": tenant.slug})
    assert cache.get("report") == "nobody's"
    with enter(acme.pk):
        assert cache.get("report") == "acme"
        assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": "acme"}
        assert cache.get_or_set("made", lambda: "once") == "once"
        with pytest.raises(NotImplementedError):
            cache.incr("a")
        cache.delete("report")
    with enter(globex.pk):
        assert cache.get("report") == "globex"
        assert cache.get("made", "missing") == "missing"


def test_a_key_carried_into_another_tenant_finds_nothing(tenants: tuple[Tenant, Tenant]) -> None:
    """However it got there: what is stored says whose it is."""
    acme, globex = tenants
    with enter(acme.pk):
        cache.set("report", "secret")
        carried = make_key("report", cache.key_prefix, cache.version)
    with enter(globex.pk), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "key_func", lambda *_: carried)
        assert cache.get("report", "missing") == "missing"
        assert cache.get_many(["report"]) == {}
        assert cache.has_key("report"), "it is that very entry"
