"""What happened in tenants' lives, for those above."""

from django.dispatch import Signal

# A spare was claimed, and no more than half of the pool is left; or there was none to be had. Sent after the commit;
# whoever can, refills it.
spare_claimed = Signal()

# Something below wants long work done, in the transaction that sends this: `kind` (see ``jobs.kinds``), `tenant_id`,
# `arguments` and `requested_by`.
work_requested = Signal()
