"""``manage.py prune``: delete what has been over for long enough. For cron; it can be killed and run again."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from identity.accounts.links import prune_links
from identity.accounts.services import prune_unproved
from identity.applications.codes import prune_codes
from identity.applications.services import prune_secrets as prune_application_secrets
from identity.browser.store import prune_stored
from identity.clients.services import prune_secrets
from identity.domains.services import prune_claims
from identity.factors.challenges import prune_challenges
from identity.invitations.services import prune_invitations
from identity.keys.services import prune_keys
from identity.mail.services import prune_failed
from identity.oidc.attempts import prune_attempts
from identity.scim.credentials import prune_tokens
from identity.sessions.services import prune_families, prune_sessions
from identity.sso.services import prune_logouts
from jobs.exports import prune_files
from jobs.services import prune_jobs
from operators.support import prune_accesses
from tenants.audit.services import prune_events, record
from tenants.context.ownership import as_owner, knows_owner


class Command(BaseCommand):
    help = "Delete what is over or too old (sessions, links, invitations, spent keys, audit events), in small batches."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        days = settings.RETENTION.days
        parser.add_argument("--keep-days", type=int, default=days, help=f"How long things are kept (default: {days}).")
        parser.add_argument("--batch", type=int, default=1000, help="Rows in one transaction (default: 1000).")
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        keep, batch = timedelta(days=options["keep_days"]), max(1, options["batch"])
        steps: dict[str, Callable[[], int]] = {
            "sessions": partial(prune_sessions, keep=keep, limit=batch),
            "refresh families": partial(prune_families, keep=keep, limit=batch),
            "browser sessions": partial(prune_stored, limit=batch),
            "client secrets": partial(prune_secrets, keep=keep, limit=batch),
            "application secrets": partial(prune_application_secrets, keep=keep, limit=batch),
            "authorization codes": partial(prune_codes, keep=keep, limit=batch),
            "SCIM tokens": partial(prune_tokens, keep=keep, limit=batch),
            "challenges": partial(prune_challenges, limit=batch),
            "sign-ins by providers": partial(prune_attempts, limit=batch),
            "mailed links": partial(prune_links, keep=keep, limit=batch),
            "failed mails": partial(prune_failed, keep=keep, limit=batch),
            "unproved accounts": partial(prune_unproved, keep=keep, limit=batch),
            "invitations": partial(prune_invitations, keep=keep, limit=batch),
            "domains": partial(prune_claims, keep=keep, limit=batch),
            "logout tokens": partial(prune_logouts, keep=keep, limit=batch),
            "jobs": partial(prune_jobs, keep=keep, limit=batch),
        }
        if settings.AUDIT_RETENTION:  # staff's looks into tenants are part of what is audited
            steps["support accesses"] = partial(prune_accesses, keep=settings.AUDIT_RETENTION, limit=batch)
        if settings.AUDIT_RETENTION and knows_owner():  # nobody else deletes from the audit trail
            steps["audit events"] = partial(_prune_events, limit=batch)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        console = Console(stderr=True)
        deleted: dict[str, int] = {}
        with Progress(*columns, console=console, disable=options["json"] or not console.is_terminal) as progress:
            for name, step in steps.items():
                task = progress.add_task(name, total=None)
                deleted[name] = 0
                for count in iter(step, 0):
                    deleted[name] += count
                    progress.update(task, completed=deleted[name])
                progress.update(task, total=max(deleted[name], 1), completed=max(deleted[name], 1))
        deleted["keys"] = prune_keys(keep=keep)
        deleted["exports"] = prune_files()
        if deleted.get("audit events"):
            with as_owner():
                changes = {"events": [None, deleted["audit events"]]}
                record(action="audit_trail.pruned", tenant_id=None, changes=changes)
        if options["json"]:
            self.stdout.write(json.dumps(deleted))
        else:
            self.stdout.write("Deleted " + ", ".join(f"{count} {name}" for name, count in deleted.items()) + ".")


def _prune_events(*, limit: int) -> int:
    with as_owner():
        return prune_events(keep=settings.AUDIT_RETENTION, limit=limit)
