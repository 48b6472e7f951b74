"""An invitation's role is its own tenant's: see ``members.0004_held_by_the_database``."""

from django.db import migrations

FORWARDS = """
ALTER TABLE invitations_invitation ADD CONSTRAINT invitations_invitation_role_of_tenant
FOREIGN KEY (tenant_id, custom_role_id) REFERENCES roles_customrole (tenant_id, id) DEFERRABLE INITIALLY DEFERRED
"""
BACKWARDS = "ALTER TABLE invitations_invitation DROP CONSTRAINT invitations_invitation_role_of_tenant"


class Migration(migrations.Migration):
    dependencies = [("invitations", "0001_initial"), ("roles", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
