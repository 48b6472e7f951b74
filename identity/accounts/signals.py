"""What happened to accounts, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# A person's password is another one now. Arguments: user_id; keep_session, the session that changed it, or None.
password_changed = Signal()

# An account was closed: its person can sign in no more. Arguments: user_id.
account_deactivated = Signal()
