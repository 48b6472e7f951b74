"""The product's settings, in development, with everything it keeps in a folder of this run's own."""

import os
import tempfile
from pathlib import Path

os.environ["TENANTRY_ENV"] = "development"
if "TENANTRY_TEST_DATA_DIR" not in os.environ:
    os.environ["TENANTRY_TEST_DATA_DIR"] = tempfile.mkdtemp(prefix="tenantry-tests-")
    Path(os.environ["TENANTRY_TEST_DATA_DIR"]).chmod(0o711)  # the database's own user passes through, and reads nothing
os.environ["DATA_DIR"] = os.environ["TENANTRY_TEST_DATA_DIR"]  # child processes of this run share it
os.environ["ISSUER"] = "http://localhost:8000"
# Each request of a test comes from the same address; tests of limits switch them on.
os.environ["THROTTLES"] = os.environ.get("TENANTRY_TEST_THROTTLES", "off")
# Tests deliver what they want to read; those of delivery in the background say so.
os.environ["MAIL_DELIVERY"] = os.environ.get("TENANTRY_TEST_MAIL_DELIVERY", "command")
# No test asks the machine's name servers; those of domains have one of their own.
os.environ.setdefault("DNS_NAMESERVERS", "127.0.0.1:1")
os.environ.setdefault("DNS_SECONDS", "0.2")
os.environ["ACCESS_SECONDS"] = "3600"  # tokens of the cast outlive the run; tests of expiry make their own
os.environ["STEP_UP_SECONDS"] = "3600"  # and their sign-ins are recent ones; tests of step-up make theirs old
os.environ["POOL_SIZE"] = os.environ.get("TENANTRY_TEST_POOL_SIZE", "0")  # tests of the pool fill it themselves

from config.settings import *  # noqa: F403 -- the environment comes first
