"""Long work: asked for in the transaction that needs it, done later by ``manage.py worker``."""
