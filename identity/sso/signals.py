"""What single sign-on asks of those above. Sent inside the transaction."""

from django.dispatch import Signal

# The provider says something of a member's groups. Whoever has given them their role, and stays in charge of it,
# returns True: then it stays as it is. Arguments: tenant_id, membership_id.
role_settling = Signal()
