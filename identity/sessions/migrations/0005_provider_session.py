from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("identity_sessions", "0004_ways_in"),
    ]

    operations = [
        migrations.AddField(
            model_name="session",
            name="provider_session",
            field=models.CharField(blank=True, default="", max_length=255),
            preserve_default=False,
        ),
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
                    ("ended_by_provider", "Ended By Provider"),
                ],
                max_length=32,
            ),
        ),
    ]
