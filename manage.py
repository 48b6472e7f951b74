#!/usr/bin/env python
"""Django's command line, with the project's source roots on the path."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main() -> None:
    # `platform/` is a source root, not a package: `import platform` stays the standard library's.
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    from django.core.management import execute_from_command_line

    from tenants.audit.acting import commanded
    from tenants.audit.commands import started_by

    with commanded(command=sys.argv[1] if len(sys.argv) > 1 else "help", by=started_by(os.environ)):
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
