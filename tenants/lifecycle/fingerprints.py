"""What a schema consists of, and a hash of it: two schemas of one version have the same."""

from collections.abc import Iterable
from typing import Any

from django.db import connections

from tenants.context.ownership import current_alias

# One line for each thing in a schema. The schema's name, which is its role's too, is left out of every line; so are
# owners, OIDs and the places of columns in their table, which are others in a schema that was restored.
_ITEMS = """
WITH schema AS MATERIALIZED (
    SELECT namespace.oid, nspname AS name, nspacl AS acl, role.oid AS role
    FROM pg_namespace namespace LEFT JOIN pg_roles role ON rolname = nspname WHERE {which}
), thing AS MATERIALIZED (  -- found by an index: that of pg_class has no column for the schema
    SELECT schema.oid AS schema, classid AS catalogue, objid AS oid, role
    FROM schema JOIN pg_depend ON refclassid = 'pg_namespace'::regclass AND refobjid = schema.oid
), relation AS MATERIALIZED (
    SELECT class.oid, relname AS name, relkind, relacl AS acl, schema, role,
        concat_ws(' ', relname, relkind, relpersistence, relrowsecurity, relforcerowsecurity, reloptions) AS line
    FROM thing JOIN pg_class class ON class.oid = thing.oid
    WHERE catalogue = 'pg_class'::regclass AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
), item AS (
    SELECT schema.oid AS schema, 'schema' AS kind, {grants_of_acl} AS line FROM schema
    UNION ALL
    SELECT schema.oid, 'default grant', concat_ws(' ', defaclobjtype, {grants_of_defaclacl})
    FROM schema JOIN pg_default_acl ON defaclnamespace = schema.oid
    UNION ALL
    SELECT schema, CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, concat_ws(' ', line,
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END,
        'granted', {grants_of_acl}, (SELECT 'to everybody' FROM aclexplode(acl) WHERE grantee = 0 LIMIT 1))
    FROM relation
    UNION ALL
    SELECT schema, 'column', concat_ws(' ', name, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
        attgenerated, (SELECT collname FROM pg_collation WHERE oid = attcollation AND collname <> 'default'),
        pg_get_expr(adbin, adrelid), attacl IS NOT NULL)
    FROM relation JOIN pg_attribute ON attrelid = oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relkind <> 'S' AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT schema, 'numbers of', concat_ws(' ', name, format_type(seqtypid, NULL), seqstart, seqincrement, seqmax,
        seqmin, seqcycle)
    FROM relation JOIN pg_sequence ON seqrelid = oid
    UNION ALL
    SELECT schema, 'constraint', concat_ws(' ', name, conname, convalidated, pg_get_constraintdef(pg_constraint.oid))
    FROM relation JOIN pg_constraint ON conrelid = relation.oid WHERE contype <> 'n'  -- that one is the column's
    UNION ALL
    SELECT schema, 'index', concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisprimary)
    FROM relation JOIN pg_index ON indrelid = oid
    UNION ALL
    SELECT schema, 'trigger', concat_ws(' ', tgenabled, pg_get_triggerdef(pg_trigger.oid))
    FROM relation JOIN pg_trigger ON tgrelid = relation.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT schema, 'policy', concat_ws(' ', name, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid),
        pg_get_expr(polwithcheck, polrelid),
        (SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE pg_roles.oid = ANY (polroles)))
    FROM relation JOIN pg_policy ON polrelid = relation.oid
    UNION ALL
    SELECT schema, 'function', concat_ws(' ', proname, pg_get_function_arguments(pg_proc.oid),
        pg_get_function_result(pg_proc.oid), lanname, prosecdef, provolatile, proconfig, prosrc)
    FROM thing JOIN pg_proc ON pg_proc.oid = thing.oid JOIN pg_language ON pg_language.oid = prolang
    WHERE catalogue = 'pg_proc'::regclass
    UNION ALL
    SELECT schema, 'type', concat_ws(' ', typname, typtype,
        (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = pg_type.oid))
    FROM thing JOIN pg_type ON pg_type.oid = thing.oid
    WHERE catalogue = 'pg_type'::regclass AND typtype IN ('e', 'd', 'r')
), line AS (
    SELECT name AS schema,
        concat(kind, ' ', replace(replace(replace(line, name || '.', ''), 'public.', ''), name, 'tenant')) AS line
    FROM schema JOIN item ON schema = oid
)
"""
_GRANTS = """(
    SELECT string_agg(privilege_type, ',' ORDER BY privilege_type) FROM aclexplode({acl}) WHERE grantee = role
)"""
_ITEMS = _ITEMS.replace("{grants_of_acl}", _GRANTS.replace("{acl}", "acl"))
_ITEMS = _ITEMS.replace("{grants_of_defaclacl}", _GRANTS.replace("{acl}", "defaclacl"))
_TENANTS = "nspname ~ '^t_[a-z2-7]{16}$'"
_NAMED = "nspname = ANY (%s)"
_HASH = """
SELECT schema, encode(sha256(convert_to(string_agg(line, chr(10) ORDER BY line COLLATE "C"), 'UTF8')), 'hex')
FROM line GROUP BY schema
"""
_LINES = "SELECT schema, line FROM line"


def fingerprints(schema_names: Iterable[str] | None = None) -> dict[str, str]:
    """Return a hash of each schema's catalogue, by schema name; all tenants' when no names are given. One query.

    A schema that does not exist is not in the answer.
    """
    return dict(_query(_HASH, schema_names))


def catalogue(schema_name: str) -> frozenset[str]:
    """Return what a schema's fingerprint is made of, a line for each thing in it."""
    return frozenset(line for _, line in _query(_LINES, [schema_name]))


def _query(ending: str, schema_names: Iterable[str] | None) -> list[tuple[Any, ...]]:
    which, params = (_TENANTS, None) if schema_names is None else (_NAMED, [list(schema_names)])
    with connections[current_alias()].cursor() as cursor:
        cursor.execute(_ITEMS.replace("{which}", which) + ending, params)
        return list(cursor.fetchall())
