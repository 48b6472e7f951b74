# ruff: noqa: N999 -- migrations are named so
"""The same migration as before."""

from importlib import import_module

Migration = import_module("tests.benchmarks.tables.migrations.0001_initial").Migration
