from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0005_tenant_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="sign_in_policy",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
    ]
