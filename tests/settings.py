"""The product's settings, in development, with everything it keeps in a folder of this run's own."""

import os
import tempfile
from pathlib import Path

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # parallel runs share nothing: each has its own folder and names

os.environ["TENANTRY_ENV"] = "development"
_folder = f"TENANTRY_TEST_DATA_DIR_{WORKER}"
if _folder not in os.environ:
    os.environ[_folder] = tempfile.mkdtemp(prefix="tenantry-tests-")
    Path(os.environ[_folder]).chmod(0o711)  # the database's own user passes through, and reads nothing
os.environ["DATA_DIR"] = os.environ[_folder]  # child processes of this run share it
if WORKER:  # roles belong to the whole server, which may be one for all (DATABASE_URL)
    os.environ["TENANTS_ROLE"] = f"tenantry_tenants_{WORKER}"
    os.environ["PEOPLE_ROLE"] = f"tenantry_people_{WORKER}"
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

from config.settings import *  # noqa: E402, F403 -- the environment comes first
