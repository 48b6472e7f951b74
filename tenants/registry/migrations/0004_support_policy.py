from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("registry", "0003_lifecycle_states"),
    ]

    operations = [
        migrations.AddField(
            model_name="tenant",
            name="support_policy",
            field=models.CharField(
                choices=[("never", "Never"), ("ask", "Ask"), ("read", "Read"), ("write", "Write")],
                default="read",
                max_length=8,
            ),
        ),
    ]
