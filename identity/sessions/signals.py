"""What happens to sessions, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# Somebody has proved who they are, and a session is about to be kept. Whoever knows more of its kind of proof may let
# it end earlier (`expires_at`), or raise to refuse it. Arguments: session, not saved yet.
session_starting = Signal()
