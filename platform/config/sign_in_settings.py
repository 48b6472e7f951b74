"""Settings of the ways in: passwords, second factors, sessions in browsers, social sign-in, single sign-on, third-party
apps. Part of ``settings``.
"""

from datetime import timedelta

from config import environment

env = environment.variables()
IN_DEVELOPMENT = environment.is_development(env)

# --- Passwords --------------------------------------------------------------------------------------------------------

PASSWORD_HASHERS = [
    "identity.accounts.hashers.OwaspArgon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "identity.accounts.password_rules.LengthRule",
        "OPTIONS": {"shortest": env.int("PASSWORD_MIN_LENGTH", default=15)},  # characters that a password has at least
    },
    {
        "NAME": "identity.accounts.password_rules.BlocklistRule",
        "OPTIONS": {"file": env.str("PASSWORD_BLOCKLIST_FILE", default="")},  # passwords that are refused, one a line
    },
    {"NAME": "identity.accounts.password_rules.RepetitionRule"},
    {"NAME": "identity.accounts.password_rules.PredictabilityRule"},
]

# --- Second factors ---------------------------------------------------------------------------------------------------
# Whether staff need a second factor at the operator API, whatever they have set up.
OPERATOR_SECOND_FACTOR = env.bool("OPERATOR_SECOND_FACTOR", default=not IN_DEVELOPMENT)
# The domain under which passkeys are kept, else BASE_DOMAIN. Another one makes all passkeys that there are useless.
WEBAUTHN_RP_ID = env.str("WEBAUTHN_RP_ID", default="")
# Further origins whose pages ask for passkeys: besides FRONTEND_URL, CORS_ALLOWED_ORIGINS, API and tenants' hosts.
WEBAUTHN_ORIGINS: list[str] = env.list("WEBAUTHN_ORIGINS", default=[])

# --- Sessions in browsers ---------------------------------------------------------------------------------------------

API_SESSIONS = env.bool("API_SESSIONS", default=False)  # whether the session of a browser counts at the tenant API, too
SESSION_ENGINE = "identity.browser.store"
# Browsers take `__Host-` names over TLS only, for this host alone: no sibling host sets or reads them.
SESSION_COOKIE_NAME = "session" if IN_DEVELOPMENT else "__Host-session"
SESSION_COOKIE_SECURE = not IN_DEVELOPMENT
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "csrftoken" if IN_DEVELOPMENT else "__Host-csrftoken"
CSRF_COOKIE_SECURE = not IN_DEVELOPMENT
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "config.problems.csrf_failure"
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/account"

# --- Social sign-in ---------------------------------------------------------------------------------------------------

# Providers by which people sign in, by the names that we give them: {"google": {"client_id": …, "client_secret": …}};
# "google", "github" and "microsoft" are known, any other one has an "issuer" (OpenID Connect).
SOCIAL_PROVIDERS: dict[str, dict[str, str]] = env.json("SOCIAL_PROVIDERS", default={})
# Whether identity providers, tenants' own among them, may be at private addresses; in development over plain HTTP, too.
# Whoever connects a provider then reaches what is inside.
OIDC_ALLOW_PRIVATE_HOSTS = env.bool("OIDC_ALLOW_PRIVATE_HOSTS", default=IN_DEVELOPMENT)

# --- Single sign-on ---------------------------------------------------------------------------------------------------
SSO_CONNECTION_LIMIT = env.int("SSO_CONNECTION_LIMIT", default=5)  # how many providers of its own a tenant connects

# --- Third-party apps -------------------------------------------------------------------------------------------------

APPLICATION_LIMIT = env.int("APPLICATION_LIMIT", default=100)  # third-party applications of one tenant
AUTHORIZATION_CODE_LIFETIME = timedelta(seconds=60)  # for an application to exchange a code in (RFC 6749 4.1.2)
