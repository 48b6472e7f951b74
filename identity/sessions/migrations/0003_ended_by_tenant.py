from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity_sessions", "0002_session_scope_and_pruning"),
    ]

    operations = [
        migrations.AlterField(
            model_name="session",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("logout", "Logout"),
                    ("refresh_reused", "Refresh Reused"),
                    ("ended_by_person", "Ended By Person"),
                    ("password_changed", "Password Changed"),
                    ("account_closed", "Account Closed"),
                    ("revoked", "Revoked"),
                    ("ended_by_staff", "Ended By Staff"),
                    ("ended_by_tenant", "Ended By Tenant"),
                ],
                max_length=32,
            ),
        ),
    ]
