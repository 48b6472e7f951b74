import uuid

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

# What began before there was consent ends here; none of it would have lasted more than an hour.
SETTLE = """
UPDATE identity_sessions_session SET ended_at = now(), end_reason = 'ended_by_staff'
WHERE api = 'support' AND ended_at IS NULL AND expires_at > now();

UPDATE operators_supportaccess access SET
    status = CASE WHEN session.ended_at IS NULL THEN 'expired' ELSE 'ended' END,
    staff_id = staff.user_id,
    staff_name = account.name,
    started_at = access.created_at,
    expires_at = session.expires_at,
    ended_at = coalesce(session.ended_at, session.expires_at)
FROM identity_sessions_session session, operators_operator staff, accounts_user account
WHERE session.id = access.session_id AND staff.id = access.operator_id AND account.id = staff.user_id;
"""

_OPEN = ["pending", "approved", "active"]


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("identity_sessions", "0003_ended_by_tenant"),
        ("operators", "0003_keep_an_admin"),
        ("registry", "0004_support_policy"),
    ]

    operations = [
        migrations.AlterField(
            model_name="supportaccess",
            name="operator",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="support_accesses",
                to="operators.operator",
            ),
        ),
        migrations.AlterField(
            model_name="supportaccess",
            name="session",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="support_access",
                to="identity_sessions.session",
            ),
        ),
        migrations.AddField(
            model_name="supportaccess",
            name="staff_id",
            field=models.UUIDField(default=uuid.UUID(int=0)),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="supportaccess",
            name="staff_name",
            field=models.CharField(blank=True, default="", max_length=120),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="supportaccess",
            name="access",
            field=models.CharField(choices=[("read", "Read"), ("write", "Write")], default="read", max_length=8),
        ),
        migrations.AddField(
            model_name="supportaccess",
            name="minutes",
            field=models.PositiveSmallIntegerField(default=60),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="supportaccess",
            name="status",
            field=models.CharField(
                choices=[
                    ("pending", "Pending"),
                    ("approved", "Approved"),
                    ("active", "Active"),
                    ("ended", "Ended"),
                    ("denied", "Denied"),
                    ("expired", "Expired"),
                ],
                default="pending",
                max_length=16,
            ),
        ),
        migrations.AddField(model_name="supportaccess", name="decided_by", field=models.UUIDField(null=True)),
        migrations.AddField(model_name="supportaccess", name="decided_at", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="supportaccess", name="started_at", field=models.DateTimeField(null=True)),
        migrations.AddField(
            model_name="supportaccess",
            name="expires_at",
            field=models.DateTimeField(default=django.utils.timezone.now),
            preserve_default=False,
        ),
        migrations.AddField(model_name="supportaccess", name="ended_at", field=models.DateTimeField(null=True)),
        migrations.RunSQL(SETTLE, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="supportaccess",
            index=models.Index(fields=["tenant", "-created_at", "id"], name="operators_support_of_tenant"),
        ),
        migrations.AddIndex(
            model_name="supportaccess",
            index=models.Index(fields=["-created_at", "id"], name="operators_support_newest"),
        ),
        migrations.AddIndex(
            model_name="supportaccess",
            index=models.Index(
                condition=models.Q(("status__in", _OPEN)), fields=["expires_at"], name="operators_support_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="supportaccess",
            constraint=models.UniqueConstraint(
                condition=models.Q(("status__in", _OPEN)),
                fields=("operator", "tenant"),
                name="operators_support_one_open",
            ),
        ),
    ]
