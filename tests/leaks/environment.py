"""What the product's processes are told."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STRANGERS = ("COVERAGE_", "DATABASE_", "DJANGO_", "TENANTRY_", "SABOTAGE")  # they belong to another run


def environment(folder: Path) -> dict[str, str]:
    """Return the environment for a product that keeps everything in `folder`; it knows no database yet."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_STRANGERS)}
    return inherited | {
        "TENANTRY_ENV": "development",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "DATA_DIR": str(folder),
        "ISSUER": "http://localhost:8000",
        "ACCESS_SECONDS": "86400",  # tokens outlive the longest run
        "API_SESSIONS": "on",  # so that browsers' cookies ask, too
        "THROTTLES": "off",  # all clients are at one address, and none of them waits
    }
