"""WHAT may be asked: scopes, roles, principals, policy and their enforcement.

No models, no tenants, no users: every other package may import this one, and this one imports none of them.
"""
