"""The product's settings, in development, with everything it keeps in a folder of this run's own."""

import os
import tempfile

os.environ["TENANTRY_ENV"] = "development"
os.environ["DATA_DIR"] = os.environ.get("TENANTRY_TEST_DATA_DIR") or tempfile.mkdtemp(prefix="tenantry-tests-")
os.environ["TENANTRY_TEST_DATA_DIR"] = os.environ["DATA_DIR"]  # child processes of this run share it
os.environ["ISSUER"] = "http://localhost:8000"
os.environ["ACCESS_SECONDS"] = "3600"  # tokens of the cast outlive the run; tests of expiry make their own

from config.settings import *  # noqa: F403 -- the environment comes first
