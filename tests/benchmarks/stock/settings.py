"""A project with django-tenants as it comes, to measure beside ours: its backend, its router, its executor. It has the
same tenant app. ``BENCHMARK_DATABASE`` is the database's URL.
"""

import os

import environ

SECRET_KEY = "of a benchmark"
SHARED_APPS = [
    "django_tenants",
    "tests.benchmarks.stock",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin",
]
TENANT_APPS = ["tests.benchmarks.tables"]
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]
MIGRATION_MODULES = {"tables": os.environ.get("BENCHMARK_MIGRATIONS", "tests.benchmarks.tables.migrations")}
TENANT_MODEL = "stock.StockTenant"
TENANT_DOMAIN_MODEL = "stock.StockDomain"
DATABASES = {
    "default": environ.Env.db_url_config(os.environ["BENCHMARK_DATABASE"])
    | {"ENGINE": "django_tenants.postgresql_backend"}
}
DATABASE_ROUTERS = ["django_tenants.routers.TenantSyncRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
