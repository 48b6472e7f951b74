"""What happened to domains, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# A domain is the tenant's no longer: it gave it up, or the proof is over. Arguments: tenant_id, domain.
proof_ended = Signal()
