"""Settings: Dispatch's store is in the database of the shop."""

import os
from pathlib import Path

from dispatch.integrations.django.configuration import store_url

SECRET_KEY = "an example keeps no secrets"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.views"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
INSTALLED_APPS = ["dispatch.integrations.django", "shop"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("SHOP_DATABASE", "shop.db")).resolve(),
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # several processes write: each waits for its turn
    }
}
DISPATCH = {"store": store_url(DATABASES["default"]), "queue": {"confirmations": {"max_concurrency": 2}}}
