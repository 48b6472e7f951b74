"""What happens when somebody who registered has proved their address."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from identity.onboarding import services


def create_wanted_tenant(*, user_id: UUID, wanted_tenant: Mapping[str, str] | None, **signal: Any) -> None:
    """Create the tenant that somebody asked for when they registered; raises as ``create_own_tenant``."""
    if wanted_tenant is not None:
        services.create_own_tenant(user_id=user_id, name=wanted_tenant["name"], slug=wanted_tenant["slug"])
