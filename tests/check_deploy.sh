#!/bin/sh
# Django's deployment checks and ours, under production settings with throw-away secrets. A warning fails.
set -eu
PYTHON=$BIN/python
TENANTRY_ENV=production
SECRET_KEY=$("$PYTHON" -c 'import secrets; print(secrets.token_urlsafe(64))')
TENANTRY_SIGNING_KEYS=$("$PYTHON" -c 'from identity.keys.ring import generate_key; print(generate_key())')
DATABASE_URL=postgresql://nobody@127.0.0.1/nowhere
BASE_DOMAIN=example.com
API_HOSTS=api.example.com
ISSUER=https://api.example.com
TENANT_APPS=examples.projects
EMAIL_URL=smtp+tls://nobody@127.0.0.1:587
BEHIND_PROXY=on
REDIS_URL=redis://127.0.0.1:1/0
export REDIS_URL BEHIND_PROXY EMAIL_URL TENANT_APPS TENANTRY_ENV SECRET_KEY TENANTRY_SIGNING_KEYS DATABASE_URL
export BASE_DOMAIN API_HOSTS ISSUER
exec "$PYTHON" manage.py check --deploy --fail-level WARNING
