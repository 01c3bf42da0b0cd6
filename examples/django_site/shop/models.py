"""What the shop keeps."""

from django.db import models


class Order(models.Model):
    """Something that somebody wants."""

    what = models.CharField(max_length=100)
    confirmed = models.BooleanField(default=False)
