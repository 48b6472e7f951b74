"""The same tables."""

from importlib import import_module

Migration = import_module("examples.projects.migrations.0001_initial").Migration
