import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("state_digest", models.BinaryField(max_length=32)),
                ("code_digest", models.BinaryField(max_length=32, null=True)),
                ("kind", models.CharField(max_length=16)),
                ("provider_key", models.CharField(max_length=64)),
                ("tenant_id", models.UUIDField(null=True)),
                ("user_id", models.UUIDField(null=True)),
                ("return_to", models.TextField()),
                ("code_challenge", models.CharField(max_length=43)),
                ("nonce", models.CharField(max_length=43)),
                ("sealed_verifier", models.BinaryField()),
                ("sealed_outcome", models.BinaryField(null=True)),
                ("extra", models.JSONField(default=dict)),
                ("answered_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["expires_at"], name="oidc_attemp_expires_a130aa_idx")],
                "constraints": [
                    models.UniqueConstraint(fields=("state_digest",), name="attempt_state_once"),
                    models.UniqueConstraint(fields=("code_digest",), name="attempt_code_once"),
                ],
            },
        ),
    ]
