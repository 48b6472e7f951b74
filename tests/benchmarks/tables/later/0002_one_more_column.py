# ruff: noqa: N999 -- migrations are named so
from django.db import migrations, models


class Migration(migrations.Migration):
    """One nullable column."""

    dependencies = [("tables", "0001_initial")]

    operations = [migrations.AddField("customer", "reference", models.CharField(max_length=40, null=True))]
