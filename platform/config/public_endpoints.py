"""Every endpoint that answers without credentials. A change of this list is a change of what strangers may do."""

PUBLIC_ENDPOINTS = frozenset(
    {
        "api/v1/auth/register",
        "api/v1/auth/email/verify",  # its credential is the token of a mailed link
        "api/v1/auth/email/resend",
        "api/v1/auth/password/forgot",
        "api/v1/auth/password/reset",  # its credential is the token of a mailed link
        "api/v1/auth/login",
        "api/v1/auth/second-factor",  # its credential is the challenge of a sign-in, and a second factor
        "api/v1/auth/second-factor/enroll",  # its credential is the challenge of a sign-in
        "api/v1/auth/passkey/options",  # tells nothing of anybody
        "api/v1/auth/passkey",  # its credential is the passkey's signature
        "api/v1/auth/social/providers",
        "api/v1/auth/social/<slug:key>/start",
        "api/v1/auth/federated",  # its credentials are a one-time code and the secret of who began the sign-in
        "auth/social/callback",  # its credentials are the state of an attempt and the provider's code
        "api/v1/auth/refresh",  # its credential is the refresh token
        "api/v1/auth/verify",  # its credential is the token to verify
        "api/v1/auth/logout",  # its credential is a refresh token or a bearer token, which may be of a suspended tenant
        "api/v1/auth/discover",  # tells of an address's domain, and of no account
        "api/v1/auth/sso/start",
        "auth/sso/callback",  # its credentials are the state of an attempt and the provider's code
        "auth/sso/<uuid:pk>/initiate",  # leads to the sign-in page
        "auth/sso/<uuid:pk>/backchannel-logout",  # its credential is the provider's logout token
        "api/v1/invitations/accept",  # its credential is the invitation's token
        "oauth/authorize",  # its credential is the session of a browser, without which it leads to signing in
        "oauth/consent",  # the same, and the page's CSRF token
        "oauth/userinfo",  # its credential is an application's access token, which it reads itself
        "oauth/token",  # its credential is in the form: a client's secret, a refresh token or a subject token
        "oauth/introspect",  # its credential is a client's secret
        "oauth/revoke",  # its credential is the token to revoke, and a client's secret where it has one
        ".well-known/jwks.json",
        ".well-known/oauth-authorization-server",
        ".well-known/openid-configuration",
        "operator/v1/auth/login",
        "operator/v1/auth/second-factor",  # as above
        "operator/v1/auth/second-factor/enroll",
        "operator/v1/auth/passkey/options",
        "operator/v1/auth/refresh",
        "operator/v1/auth/logout",
        "health/live",
        "health/ready",
        "metrics",  # its credential is METRICS_TOKEN; without one, production answers 404
        "docs",
        "verify-email",  # pages of mailed links, which hold nothing by themselves
        "reset-password",
        "accept-invitation",
        "sign-in",  # its credentials are in the form
        "sign-in/provider",  # leads to a provider
        "sign-in/return",  # its credential is what the provider gave, in the browser that had begun
        "sign-out",  # ends the session of the cookie, if there is one
        "docs/problems",
        "docs/<slug:name>.json",
    }
)
