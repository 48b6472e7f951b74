"""What happened to second factors, for those above. Sent inside the transaction: what listens is part of the change."""

from django.dispatch import Signal

# A person has just shown to have a new second factor. Arguments: user_id; session_id, in which they did, or None; kind,
# of ``identity.factors.models.Kind``.
factor_added = Signal()
