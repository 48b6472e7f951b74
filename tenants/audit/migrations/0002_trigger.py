"""What makes the trail a chain: Postgres itself gives each event its place, its time and its hash."""

from django.db import migrations

FORWARDS = """
CREATE FUNCTION audit_append() RETURNS trigger LANGUAGE plpgsql
-- As the owner: nobody else writes the chain's ends. The path is fixed, or a caller's own tables could stand in.
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    head public.audit_auditchain%ROWTYPE;
    canonical text;
BEGIN
    -- Locks the end of the chain until the transaction ends: no two events get one place, and there are no gaps.
    INSERT INTO audit_auditchain AS chain (id, tenant_id, last_sequence, last_hash, pruned_through, pruned_hash)
    VALUES (coalesce(NEW.tenant_id, '00000000-0000-0000-0000-000000000000'), NEW.tenant_id, 1, '', 0, '')
    ON CONFLICT (id) DO UPDATE SET last_sequence = chain.last_sequence + 1
    RETURNING * INTO head;

    NEW.sequence := head.last_sequence;
    NEW.occurred_at := clock_timestamp();
    NEW.previous_hash := head.last_hash;
    canonical := jsonb_build_array(
        NEW.sequence, NEW.tenant_id, to_char(NEW.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        NEW.id, NEW.action, NEW.actor_kind, NEW.actor_id, NEW.act, NEW.session_id, NEW.address, NEW.request_id,
        NEW.targets, NEW.changes
    )::text;
    NEW.hash := sha256(NEW.previous_hash || convert_to(canonical, 'UTF8'));

    UPDATE audit_auditchain SET last_hash = NEW.hash WHERE id = head.id;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_append BEFORE INSERT ON audit_auditevent FOR EACH ROW EXECUTE FUNCTION audit_append();
"""

BACKWARDS = "DROP TRIGGER audit_append ON audit_auditevent; DROP FUNCTION audit_append()"


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
