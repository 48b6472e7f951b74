"""The product's settings with a bug put in on purpose: for the leak harness alone. See ``sabotage``."""

import os

from django.core.exceptions import ImproperlyConfigured

if os.environ.get("TENANTRY_ENV") != "development":
    raise ImproperlyConfigured("Sabotage is for the leak harness, in development, and for nothing else.")

from config.settings import *  # noqa: F403 -- the refusal comes first
from config.settings import INSTALLED_APPS, SHARED_APPS

_SABOTAGE = "tests.leaks.sabotage.SabotageConfig"
SHARED_APPS = [*SHARED_APPS, _SABOTAGE]
INSTALLED_APPS = [*INSTALLED_APPS, _SABOTAGE]
