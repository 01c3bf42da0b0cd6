"""A shop in Django: `python manage.py runserver` takes orders, `python manage.py dispatch run` confirms them.

First `python manage.py dispatch store init` and `python manage.py migrate`: jobs and orders share one SQLite file, so
that an order and its confirmation are one transaction. `SHOP_DATABASE` in the environment names another file.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
