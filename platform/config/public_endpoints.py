"""Every endpoint that answers without credentials. A change of this list is a change of what strangers may do."""

PUBLIC_ENDPOINTS = frozenset(
    {
        "api/v1/auth/register",
        "api/v1/auth/email/verify",  # its credential is the token of a mailed link
        "api/v1/auth/email/resend",
        "api/v1/auth/password/forgot",
        "api/v1/auth/password/reset",  # its credential is the token of a mailed link
        "api/v1/auth/login",
        "api/v1/auth/refresh",  # its credential is the refresh token
        "api/v1/auth/verify",  # its credential is the token to verify
        "api/v1/auth/logout",  # its credential is a refresh token or a bearer token, which may be of a suspended tenant
        "api/v1/invitations/accept",  # its credential is the invitation's token
        "oauth/token",  # its credential is in the form: a client's secret, a refresh token or a subject token
        "oauth/introspect",  # its credential is a client's secret
        "oauth/revoke",  # its credential is the token to revoke, and a client's secret where it has one
        ".well-known/jwks.json",
        ".well-known/oauth-authorization-server",
        "operator/v1/auth/login",
        "operator/v1/auth/refresh",
        "operator/v1/auth/logout",
        "health/live",
        "health/ready",
        "metrics",  # its credential is METRICS_TOKEN; without one, production answers 404
        "docs",
        "verify-email",  # pages of mailed links, which hold nothing by themselves
        "reset-password",
        "accept-invitation",
        "docs/problems",
        "docs/<slug:name>.json",
    }
)
