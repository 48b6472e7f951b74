"""What happened to accounts, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# A person's password is another one now. Arguments: user_id; keep_session, the session that changed it, or None.
password_changed = Signal()

# An account was closed: its person can sign in no more. Arguments: user_id.
account_deactivated = Signal()

# Somebody proved for the first time that an account's address is theirs. Arguments: user_id, email; wanted_tenant,
# ``{"name", "slug"}`` of a tenant that they asked for, or None.
email_verified = Signal()

# An account is about to be deleted; whoever has to keep it raises. Arguments: user_id, email.
account_deleting = Signal()
