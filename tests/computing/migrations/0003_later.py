from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("projects", "0002_seeds")]
    operations = [
        migrations.RunSQL("DROP VIEW projects_red"),
        migrations.RemoveField("project", "color"),
        AddIndexConcurrently("task", models.Index(fields=["due_on"], name="projects_due")),
    ]
