"""What Postgres itself holds: the platform keeps an active admin."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION operators_keep_an_admin() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- One commit at a time, or two could each count on the admin whom the other one removes. Every statement after this
    -- one sees what was committed while it waited.
    PERFORM pg_advisory_xact_lock(hashtextextended('operators_keep_an_admin', 0));
    IF TG_TABLE_NAME = 'accounts_user' THEN
        IF NOT EXISTS (SELECT FROM operators_operator WHERE user_id = OLD.id AND role = 'admin' AND is_active) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF NOT EXISTS (
        SELECT FROM operators_operator operator JOIN accounts_user account ON account.id = operator.user_id
        WHERE operator.role = 'admin' AND operator.is_active AND account.is_active
    ) THEN
        RAISE EXCEPTION 'the platform keeps an active admin'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'operators_keep_an_admin', TABLE = 'operators_operator';
    END IF;
    RETURN NULL;
END $$;

-- Looked at when the transaction ends, so that one admin can take another one's place. A platform that never had an
-- admin is left alone.
CREATE CONSTRAINT TRIGGER operators_keep_an_admin
AFTER UPDATE OF role, is_active, user_id OR DELETE ON operators_operator
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.role = 'admin' AND OLD.is_active)
EXECUTE FUNCTION operators_keep_an_admin();

-- An account goes with its place on the staff, which the trigger above sees; closing it leaves the place there.
CREATE CONSTRAINT TRIGGER operators_keep_an_admin AFTER UPDATE OF is_active ON accounts_user
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
EXECUTE FUNCTION operators_keep_an_admin();
"""
BACKWARDS = """
DROP TRIGGER operators_keep_an_admin ON accounts_user;
DROP TRIGGER operators_keep_an_admin ON operators_operator;
DROP FUNCTION operators_keep_an_admin();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("operators", "0002_support_access"),
    ]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
