"""What happened to roles, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# What a composed role lets one do, or its name, is another one now. Arguments: role, the CustomRole as it is now.
role_changed = Signal()

# A composed role is about to be deleted. Arguments: role; replacement, a TenantRole, or None when nobody is to get
# another one. Whoever depends on it takes the replacement, or raises RoleInUse.
role_deleting = Signal()
