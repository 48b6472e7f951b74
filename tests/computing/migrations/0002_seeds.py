"""A project for every tenant, with an id of its own and in a column that a later migration takes away."""

import uuid

from django.db import migrations, models


def seed(apps, schema_editor):
    apps.get_model("projects", "Project").objects.create(name="First steps", created_by=uuid.uuid4(), color="red")


class Migration(migrations.Migration):
    dependencies = [("projects", "0001_initial")]
    operations = [
        migrations.AddField("project", "color", models.CharField(max_length=20, default="blue")),
        migrations.RunPython(seed, migrations.RunPython.noop),
        migrations.RunSQL("CREATE VIEW projects_red AS SELECT id FROM projects_project WHERE color = 'red'"),
    ]
