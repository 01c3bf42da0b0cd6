"""Orders."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the one table."""

    initial = True
    operations: ClassVar = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(primary_key=True)),
                ("what", models.CharField(max_length=100)),
                ("confirmed", models.BooleanField(default=False)),
            ],
        )
    ]
