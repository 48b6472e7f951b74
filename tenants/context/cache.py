"""Django's cache, walled as well: a tenant's entries are its own, and say so.

``KEY_FUNCTION`` puts the tenant into every key. Should a key be made elsewhere, and carried along into another tenant,
the value still names the tenant that wrote it: for the other one it is not there.
"""

from typing import Any

from django.core.cache.backends.locmem import LocMemCache

from tenants.context.entry import current_tenant, in_tenant

_NOBODY = "-"


def make_key(key: str, key_prefix: str, version: int) -> str:
    """Return the key under which the present tenant's entry is kept (Django's ``KEY_FUNCTION``)."""
    return f"{key_prefix}:{version}:{_owner()}:{key}"


def _owner() -> str:
    return current_tenant().id.hex if in_tenant() else _NOBODY


class TenantCacheMixin:
    """Store values with the tenant that wrote them, and give them to nobody else."""

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        return bool(super().add(key, (_owner(), value), *args, **kwargs))  # type: ignore[misc]  # a cache's

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        super().set(key, (_owner(), value), *args, **kwargs)  # type: ignore[misc]  # a cache's

    def set_many(self, data: dict[Any, Any], *args: Any, **kwargs: Any) -> list[Any]:
        owned = {key: (_owner(), value) for key, value in data.items()}
        return list(super().set_many(owned, *args, **kwargs))  # type: ignore[misc]  # a cache's

    def get(self, key: Any, default: Any = None, *args: Any, **kwargs: Any) -> Any:
        return _own(super().get(key, None, *args, **kwargs), default)  # type: ignore[misc]  # a cache's

    def get_many(self, keys: Any, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        found = super().get_many(keys, *args, **kwargs)  # type: ignore[misc]  # a cache's
        missing = object()
        own = {key: _own(value, missing) for key, value in found.items()}
        return {key: value for key, value in own.items() if value is not missing}

    def incr(self, key: Any, delta: int = 1, *args: Any, **kwargs: Any) -> int:
        """Refuse: a bare number names no tenant. Count in a model, or in a cache of its own."""
        raise NotImplementedError


def _own(stored: Any, default: Any) -> Any:
    return stored[1] if isinstance(stored, tuple) and stored[0] == _owner() else default


class TenantLocMemCache(TenantCacheMixin, LocMemCache):
    """In the process, walled."""
