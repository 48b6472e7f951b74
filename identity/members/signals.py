"""What happened to memberships, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# A member is an owner of their tenant now, and was none. Arguments: tenant_id, user_id.
owner_made = Signal()
