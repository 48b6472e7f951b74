"""The operator API: platform staff, and what they do to tenants."""
