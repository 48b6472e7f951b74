"""The database backend (``ENGINE = "tenants.context.backend"``): django-tenants' without its ``SET search_path``.

django-tenants sets the search path of the *session* before every query, swallows the errors of doing so, and what it
set outlives the transaction: behind a transaction pooler, rows of other tenants come back. Here nothing is ever set
on a session. A connection works in ``public`` until a transaction enters a tenant with ``SET LOCAL``, and Postgres
itself takes it out again at commit or rollback.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql.introspection import DatabaseIntrospection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.backends.utils import debug_transaction
from django.db.utils import InterfaceError, OperationalError
from django_tenants.postgresql_backend import base
from django_tenants.utils import get_public_schema_name

from tenants.context.backend.values import with_fast_loaders
from tenants.context.errors import OutcomeUnknown
from tenants.wall.roles import APP

# What must not be true of the role that serves, and why: each is a way around the wall.
_FORBIDDEN = {
    "is a superuser": "role.rolsuper",
    "bypasses row-level security": "role.rolbypassrls",
    "owns the tables, or may become their owner": (
        "EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.registry_tenant')"
        " AND pg_has_role(session_user, relowner, 'MEMBER'))"
    ),
}
_EXAMINE = f"SELECT {', '.join(_FORBIDDEN.values())} FROM pg_roles role WHERE role.rolname = session_user"  # noqa: S608 -- constants


class _Operations(DatabaseOperations):
    compiler_module = "tenants.context.backend.compiler"


class DatabaseWrapper(base.DatabaseWrapper):  # type: ignore[misc]  # django-tenants has no types
    """A Postgres connection that is in at most one tenant, and only inside a transaction."""

    tenant: Any
    schema_name: str
    ops_class = _Operations
    _examined = False  # once in each process

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # django-tenants' introspection leaves a session-wide search path behind; ours is right as it stands.
        self.introspection = DatabaseIntrospection(self)
        self._opening: str | None = None
        self._opening_row: tuple[Any, ...] | None = None

    def init_connection_state(self) -> None:
        """Refuse to serve as a role that could reach past the wall.

        Raises:
            ImproperlyConfigured: the message says which role, and what is wrong with it.
        """
        super().init_connection_state()
        if self.alias == APP and not DatabaseWrapper._examined:
            with self.connection.cursor() as cursor:
                row = cursor.execute(_EXAMINE).fetchone()
            faults = [fault for fault, found in zip(_FORBIDDEN, row, strict=True) if found]
            if faults:
                role = self.settings_dict["USER"]
                self.close()
                raise ImproperlyConfigured(
                    f"DATABASE_URL logs in as {role!r}, which {' and '.join(faults)}: tenants would not be behind the"
                    " wall. Serve as a role that owns nothing; see README, 'Roles in the database'."
                )
            DatabaseWrapper._examined = True

    def get_connection_params(self) -> dict[str, Any]:
        """Return how to connect, and how what Postgres says becomes Python's."""
        params: dict[str, Any] = super().get_connection_params()
        params["context"] = with_fast_loaders(params["context"], in_utc=self.timezone is UTC)
        return params

    def _set_autocommit(self, autocommit: bool) -> None:  # noqa: FBT001 -- Django's
        """Switch the driver's mode where it is another one. It stays in autocommit mode when a transaction opens with a
        statement, so there is nothing to switch back, nor in a connection out of the pool.
        """
        if self.connection.autocommit is not autocommit:
            super()._set_autocommit(autocommit)

    def _handle_search_path(self, cursor: Any = None) -> None:
        """Send nothing: the path is the transaction's, set once by ``tenants.context``."""

    def set_tenant(self, tenant: Any, include_public: bool = True) -> None:  # noqa: FBT001, FBT002 -- django-tenants'
        """Accept ``public`` only: django-tenants' own switches have no transaction that would undo them."""
        if tenant.schema_name != get_public_schema_name():
            raise TypeError("Use tenants.context.enter() or maintain(): they switch for one transaction.")
        super().set_tenant(tenant, include_public)

    @property
    def in_tenant(self) -> bool:
        """Tell whether the connection's transaction has entered a tenant."""
        return bool(self.schema_name != get_public_schema_name())

    @contextmanager
    def as_tenant(self, tenant: Any) -> Iterator[None]:
        """Note which tenant the current transaction is in; the path itself is the caller's business."""
        outside = self.tenant, self.schema_name
        self.tenant, self.schema_name = tenant, tenant.schema_name
        try:
            yield
        finally:
            self.tenant, self.schema_name = outside

    @contextmanager
    def opening(self, statement: str) -> Iterator[None]:
        """Let the transaction that begins inside this block begin with `statement`, in one round trip with its BEGIN.

        Its first row is then at ``take_opening_row()``. Should no transaction begin (there is no connection to be had),
        the statement is forgotten: the next transaction is not to find itself in this one's tenant.
        """
        self._opening = statement
        try:
            yield
        finally:
            self._opening = self._opening_row = None

    def take_opening_row(self) -> tuple[Any, ...] | None:
        row, self._opening_row = self._opening_row, None
        return row

    def _commit(self) -> None:
        try:
            super()._commit()
        except (OperationalError, InterfaceError) as error:
            if self.connection is None or self.connection.closed:
                raise OutcomeUnknown(str(error)) from error
            raise

    def _start_transaction_under_autocommit(self) -> None:
        """Begin a transaction: Django's hook for backends that send BEGIN themselves."""
        statement, self._opening = self._opening, None
        if statement is None:
            with debug_transaction(self, "BEGIN"):
                self._set_autocommit(False)  # noqa: FBT003 -- Django's
            return
        # The driver stays in autocommit mode: it would send a BEGIN of its own, one round trip more.
        try:
            with self.cursor() as cursor:
                cursor.execute(f"BEGIN; {statement}")
                cursor.nextset()
                self._opening_row = cursor.fetchone()
        except BaseException:
            # Django does not know yet that a transaction is open, so nobody else would end it.
            if self.connection is not None and not self.connection.closed:
                self.connection.rollback()
            raise
