"""Dispatch inside a Django project: "dispatch.integrations.django" in INSTALLED_APPS, DISPATCH in the settings."""
