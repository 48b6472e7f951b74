"""What Postgres itself holds: a tenant keeps an active owner, and a member's role is their own tenant's."""

from django.db import migrations

OWNER_FORWARDS = """
CREATE FUNCTION members_keep_an_owner() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- One commit at a time for each tenant, or two could each count on the owner whom the other one removes. The next
    -- statement sees what was committed while this one waited.
    PERFORM pg_advisory_xact_lock(hashtextextended('members_keep_an_owner ' || OLD.tenant_id, 0));
    IF EXISTS (SELECT FROM registry_tenant WHERE id = OLD.tenant_id) AND NOT EXISTS (
        SELECT FROM members_membership WHERE tenant_id = OLD.tenant_id AND role = 'owner' AND status = 'active'
    ) THEN
        RAISE EXCEPTION 'a tenant keeps an active owner'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'members_keep_an_owner', TABLE = 'members_membership';
    END IF;
    RETURN NULL;
END $$;

-- Looked at when the transaction ends: ownership is handed over in two steps, and a tenant goes with its members.
CREATE CONSTRAINT TRIGGER members_keep_an_owner AFTER UPDATE OF role, status, tenant_id OR DELETE ON members_membership
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'owner' AND OLD.status = 'active')
EXECUTE FUNCTION members_keep_an_owner();
"""
OWNER_BACKWARDS = """
DROP TRIGGER members_keep_an_owner ON members_membership;
DROP FUNCTION members_keep_an_owner();
"""

ROLE_FORWARDS = """
ALTER TABLE members_membership ADD CONSTRAINT members_membership_role_of_tenant
FOREIGN KEY (tenant_id, custom_role_id) REFERENCES roles_customrole (tenant_id, id) DEFERRABLE INITIALLY DEFERRED
"""
ROLE_BACKWARDS = "ALTER TABLE members_membership DROP CONSTRAINT members_membership_role_of_tenant"


class Migration(migrations.Migration):
    dependencies = [("members", "0003_custom_roles")]

    operations = [
        migrations.RunSQL(OWNER_FORWARDS, OWNER_BACKWARDS),
        migrations.RunSQL(ROLE_FORWARDS, ROLE_BACKWARDS),
    ]
