from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_proof_of_addresses'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='has_second_factor',
            field=models.BooleanField(default=False),
        ),
    ]
