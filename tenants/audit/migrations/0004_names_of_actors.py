"""An event of a command says who started it. The hashes of events without a name stay what they are."""

from importlib import import_module

from django.db import migrations, models

_RESTORED = import_module("tenants.audit.migrations.0003_restored_trails")
BEFORE = _RESTORED.BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(
    _RESTORED.BEGIN, _RESTORED.RESTORED
)
WITHOUT = "canonical := jsonb_build_array("
WITHOUT_END = "NEW.targets, NEW.changes\n    )::text;"
WITH = "canonical := (jsonb_build_array("
WITH_END = (
    "NEW.targets, NEW.changes\n"
    "    ) || CASE NEW.actor_name WHEN '' THEN '[]'::jsonb ELSE jsonb_build_array(NEW.actor_name) END)::text;"
)


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_restored_trails")]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="actor_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=150),
        ),
        migrations.RunSQL(BEFORE.replace(WITHOUT, WITH).replace(WITHOUT_END, WITH_END), BEFORE),
    ]
