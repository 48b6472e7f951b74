from django.apps import AppConfig


class TablesConfig(AppConfig):
    name = "tests.benchmarks.tables"
    label = "tables"
