"""The product's settings with the benchmark's tenant app; ``BENCHMARK_MIGRATIONS`` says which release of it."""

import os

os.environ |= {"TENANTRY_ENV": "development", "TENANT_APPS": "tests.benchmarks.tables"}

from config.settings import *  # noqa: F403 -- the environment comes first

MIGRATION_MODULES = {"tables": os.environ.get("BENCHMARK_MIGRATIONS", "tests.benchmarks.tables.migrations")}
