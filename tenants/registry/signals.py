"""What happened in the registry, for those above it."""

from django.dispatch import Signal

# A host now leads elsewhere, or nowhere. Sent after the commit.
hosts_changed = Signal()

# A tenant is about to ask something else of its members' sign-ins. Sent inside the transaction, with the tenant's row
# held: what listens is part of the change, and may refuse it by raising. Arguments: tenant_id; before and policy, both
# ``sign_in_policy.SignInPolicy``.
sign_in_policy_changing = Signal()
