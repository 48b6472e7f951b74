"""The tests' settings with other migrations of the tenant apps: for processes of another release."""

import json
import os

from tests.settings import *  # noqa: F403 -- all of them

MIGRATION_MODULES = json.loads(os.environ["TENANTRY_TEST_MIGRATIONS"])
