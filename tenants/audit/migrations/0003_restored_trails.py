"""A trail that comes back from a file keeps its places, times and hashes: only the owner of the tables writes one."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("tenants.audit.migrations.0002_trigger").FORWARDS.split("CREATE TRIGGER")[0]
BEGIN = "BEGIN\n    -- Locks the end"
RESTORED = """BEGIN
    -- Who logged in is who owns this function, and says so: an event of a restored trail, which was verified.
    IF session_user = current_user AND NEW.tenant_id::text = current_setting('tenantry.restored_trail', true) THEN
        RETURN NEW;
    END IF;
    -- Locks the end"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_trigger")]

    operations = [
        migrations.RunSQL(
            BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION").replace(BEGIN, RESTORED),
            BEFORE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"),
        )
    ]
