"""Errors of the program, not of the caller: none of these is an answer to a request."""

from django.db import OperationalError


class OutsideTenant(RuntimeError):
    """A tenant's table was asked for outside any tenant."""


class AlreadyInTenant(RuntimeError):
    """A tenant was entered from inside a tenant."""


class NoSuchSchema(LookupError):
    """The tenant to enter has a row, and no tables."""


class NoSuchTenant(LookupError):
    """The tenant to enter does not exist."""


class OutcomeUnknown(OperationalError):
    """The connection broke while a transaction was being committed: whether it was, nobody was told."""
