"""What happened in the registry, for those above it."""

from django.dispatch import Signal

# A host now leads elsewhere, or nowhere. Sent after the commit.
hosts_changed = Signal()
