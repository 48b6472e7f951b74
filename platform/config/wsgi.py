"""The WSGI application. It refuses to start with an endpoint that declares no scopes, as ``manage.py`` does, and as a
role in the database that would be past the wall.
"""

import contextlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.management.base import BaseCommand  # noqa: E402 -- the path comes first
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import OperationalError, connection  # noqa: E402

application = get_wsgi_application()
BaseCommand().check(tags=["scopes", "models"])
with contextlib.suppress(OperationalError):  # a database that is away is examined when it is back
    connection.ensure_connection()
connection.close()
