"""Settings: every deployment differs by environment variables alone (see README, "Settings").

The default is production, which refuses to start without its secrets. ``TENANTRY_ENV=development`` makes secrets of
its own under ``DATA_DIR`` on the first start.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment, logs, public_endpoints
from config.sign_in_settings import *  # noqa: F403 -- part of the settings, in a file of its own
from identity.keys.pem import split_pems

ROOT = Path(__file__).resolve().parents[2]

env = environment.variables()

ENVIRONMENT = environment.environment_name(env.str("TENANTRY_ENV", default=environment.PRODUCTION))  # or development
IN_DEVELOPMENT = ENVIRONMENT == environment.DEVELOPMENT
DEBUG = False  # Django's error pages show settings and data: not even in development

# --- Data that development keeps: keys, and the embedded database -----------------------------------------------------

DATA_DIR = Path(env.str("DATA_DIR", default=str(ROOT / ".data"))).absolute()  # where development keeps what it makes
_SECRETS = DATA_DIR / "secrets" if IN_DEVELOPMENT else None

# --- Secrets ----------------------------------------------------------------------------------------------------------

SECRET_KEY = environment.secret(
    "SECRET_KEY",
    env.str("SECRET_KEY", default=""),  # Django's; half of what refresh tokens are made from; encrypts signing keys
    file=_SECRETS and _SECRETS / "secret-key",
    generate=environment.random_secret,
)
SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])  # former ones, while it is changed

# Where the keys that sign access tokens are kept: in the database (the default: encrypted under SECRET_KEY, rotated by
# command and API), in the environment, or in a file. The latter two are private keys in PEM, one after the other: the
# first one signs, all of them verify; a file is read again when it changes.
SIGNING_KEYS = split_pems(env.str("TENANTRY_SIGNING_KEYS", multiline=True, default=""))
SIGNING_KEYS_FILE = env.str("TENANTRY_SIGNING_KEYS_FILE", default="")  # in a file, read again when it changes
SIGNING_ALGORITHM = env.str("SIGNING_ALGORITHM", default="ES256")  # of new keys in the database; or RS256
# How long a new key is published before it signs: longer than verifiers keep a copy of our keys (five minutes).
SIGNING_KEY_LEAD = timedelta(seconds=env.int("SIGNING_KEY_LEAD_SECONDS", default=600))

# --- Hosts ------------------------------------------------------------------------------------------------------------

PORT = env.int("PORT", default=8000)  # of the demo, and of the addresses that development makes up

# Tenants answer on <slug>.BASE_DOMAIN; the API without a tenant, and the operator API, on API_HOSTS.
BASE_DOMAIN: str = env.str("BASE_DOMAIN", default="localhost" if IN_DEVELOPMENT else env.NOTSET)
API_HOSTS = frozenset(env.list("API_HOSTS", default=["localhost", "127.0.0.1"] if IN_DEVELOPMENT else env.NOTSET))
OPERATOR_HOST = env.str("OPERATOR_HOST", default="").lower()  # of the operator API alone, which then leaves API_HOSTS

# The `iss` of every token, and the base of everything else that must be absolute.
ISSUER = env.str("ISSUER", default=f"http://localhost:{PORT}" if IN_DEVELOPMENT else env.NOTSET).rstrip("/")

# Any host may knock: tenants bring their own domains. HostMiddleware refuses those that are in no directory.
ALLOWED_HOSTS = ["*"]
HOST_CACHE_SECONDS = env.int("HOST_CACHE_SECONDS", default=10)  # that a process remembers whose a host is

CORS_ALLOWED_ORIGINS: list[str] = env.list("CORS_ALLOWED_ORIGINS", default=[])  # origins of browser apps that may call
CORS_URLS_REGEX = r"^/(api|operator|oauth|\.well-known)/"
CORS_EXPOSE_HEADERS = ["RateLimit", "RateLimit-Policy", "Retry-After", "WWW-Authenticate", "X-Request-ID"]

# --- Apps: in `public`, or in every tenant's schema, never both -------------------------------------------------------

SHARED_APPS = [
    "config",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "corsheaders",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "procrastinate.contrib.django",
    "permissions",
    "tenants.wall",
    "tenants.audit",
    "tenants.registry",
    "tenants.context",
    "tenants.routing",
    "tenants.lifecycle",
    "tenants.fleet",
    "django_tenants",  # after ours: its delete_tenant and clone_tenant know nothing of roles, hosts and shared rows
    "identity.mail",
    "identity.accounts",
    "identity.oidc",
    "identity.factors",
    "identity.roles",
    "identity.members",
    "identity.invitations",
    "identity.onboarding",
    "identity.domains",
    "identity.clients",
    "identity.sessions",
    "identity.keys",
    "identity.tokens",
    "identity.applications",
    "identity.social",
    "identity.sso",
    "identity.browser",
    "identity.oauth",
    "identity.scim",
    "jobs",
    "operators",
]
# Modules of the apps in every tenant's schema. Production names them; development has all below examples/ and apps/.
TENANT_APPS: list[str] = env.list(
    "TENANT_APPS", default=environment.tenant_apps(ROOT) if IN_DEVELOPMENT else env.NOTSET
)
INSTALLED_APPS = [*SHARED_APPS, *TENANT_APPS]

TENANT_MODEL = "registry.Tenant"
TENANT_DOMAIN_MODEL = "registry.Domain"
TENANT_SYNC_ROUTER = "tenants.context.router.TenantRouter"
DATABASE_ROUTERS = [TENANT_SYNC_ROUTER]
GET_EXECUTOR_FUNCTION = "tenants.fleet.executor.get_executor"

# --- Requests ---------------------------------------------------------------------------------------------------------

MIDDLEWARE = [
    "config.middleware.ClientAddressMiddleware",
    "config.request_scope.RequestIdMiddleware",
    "config.observing.ObservingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.CorsMiddleware",
    "config.middleware.AnswerMiddleware",
    "tenants.routing.middleware.HostMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "tenants.context.middleware.TenantContextMiddleware",
    "identity.browser.middleware.UserMiddleware",
]
PUBLIC_ENDPOINTS = public_endpoints.PUBLIC_ENDPOINTS
ROOT_URLCONF = "config.urls"
TENANT_URLCONF = "config.urls_tenant"
API_URLCONF, OPERATOR_URLCONF = "config.urls_api", "config.urls_operator"  # where OPERATOR_HOST parts them
URLCONFS = [ROOT_URLCONF, TENANT_URLCONF, API_URLCONF, OPERATOR_URLCONF]
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=1024 * 1024)  # of a request's body, at most
MAX_JSON_DEPTH = 32
DATA_UPLOAD_MAX_MEMORY_SIZE = MAX_BODY_BYTES

# So many proxies in front of the process write X-Forwarded-For; what stands left of theirs is the client's own say.
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)  # trust X-Forwarded-Proto
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=1 if BEHIND_PROXY else 0)  # proxies that add to X-Forwarded-For

# How often (permissions/limits.py has the list): THROTTLE_SIGN_IN=60/min changes one, THROTTLES=off switches all off.
THROTTLES = env.bool("THROTTLES", default=True)
if not THROTTLES and not IN_DEVELOPMENT:
    raise ImproperlyConfigured("THROTTLES=off is for load tests in development: production does not start with it.")
THROTTLE_RATES = {
    name.removeprefix("THROTTLE_").lower(): rate for name, rate in env.ENVIRON.items() if name.startswith("THROTTLE_")
}
REDIS_URL = env.str("REDIS_URL", default="")  # where limits are counted for all processes; else each counts its own

# --- Database ---------------------------------------------------------------------------------------------------------

# The app serves as a role that owns nothing; what changes structure is done by the owner (see tenants/wall/roles.py).
_database_url = env.str("DATABASE_URL", default="")  # postgresql://, as the role that serves; production needs it
_owner_url = env.str("DATABASE_OWNER_URL", default="")  # as the owner: for migrations and the worker
EMBEDDED_POSTGRES = IN_DEVELOPMENT and not _database_url
DATABASE_URL_FILES = {"DATABASE_URL": DATA_DIR / "database-url", "DATABASE_OWNER_URL": DATA_DIR / "database-owner-url"}
if EMBEDDED_POSTGRES and all(file.exists() for file in DATABASE_URL_FILES.values()):
    _database_url, _owner_url = (file.read_text().strip() for file in DATABASE_URL_FILES.values())

DATABASES = {
    "owner": {**environment.database(_owner_url), "ENGINE": "tenants.context.backend"},
    "default": {
        **environment.database(_database_url),
        "ENGINE": "tenants.context.backend",
        "OPTIONS": {
            "pool": {
                "min_size": env.int("DATABASE_POOL_MIN", default=1),  # connections kept open, in each process
                "max_size": env.int("DATABASE_POOL_MAX", default=8),  # connections at most, in each process
                "timeout": env.int("DATABASE_POOL_SECONDS", default=5),  # that a request waits for a connection
                "max_lifetime": 600,
                # The pool's own attempts are ever further apart, up to minutes. A database that was away for longer
                # than half a second is asked for again at once when somebody needs it.
                "reconnect_timeout": 0.5,
                "reconnect_failed": environment.look_for_the_database_again,
            },
        },
    },
}
TENANT_DB_ALIAS = "owner"  # the connection on which django-tenants migrates
FLEET_CANARIES: list[str] = env.list("FLEET_CANARIES", default=[])  # slugs, or one number: migrated before the others
FLEET_PARALLEL = env.int("FLEET_PARALLEL", default=4)  # connections that migrate tenants
FLEET_LOCK_SECONDS = env.float("FLEET_LOCK_SECONDS", default=2)  # that a migration waits for a tenant's requests to end
FLEET_STATEMENT_SECONDS = env.int("FLEET_STATEMENT_SECONDS", default=300)  # that one statement of a migration may take
FLEET_ATTEMPTS = env.int("FLEET_ATTEMPTS", default=5)  # for a tenant whose tables somebody else holds
REFUSE_DRIFTED_TENANTS = env.bool("REFUSE_DRIFTED_TENANTS", default=False)  # suspend whose schema is not its version's
TENANTS_ROLE = env.str("TENANTS_ROLE", default="tenantry_tenants")  # the group of all tenants' roles
PEOPLE_ROLE = env.str("PEOPLE_ROLE", default="tenantry_people")  # the role for what a person sees of themselves
CACHES = {
    "default": {
        "BACKEND": "tenants.context.cache.TenantLocMemCache",
        "KEY_FUNCTION": "tenants.context.cache.make_key",
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- People and tokens ------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
STAFF_MODEL = "operators.Operator"  # whose rows support access stands on: user_id, is_active, version
AUTHENTICATION_BACKENDS = [
    "identity.accounts.backends.PasswordBackend",
    "identity.tokens.backends.BearerBackend",
    "operators.backends.OperatorBearerBackend",
]
# Whether an address has to be proved before its account is good for anything. Without it, whoever registers somebody
# else's address first can use the account until its owner proves the address.
EMAIL_VERIFICATION = env.str(
    "EMAIL_VERIFICATION", default="optional" if IN_DEVELOPMENT else "required", choices=("required", "optional")
)
# How long a link in a mail is good, by what it is for.
LINK_LIFETIMES = {
    "verify": timedelta(days=env.int("EMAIL_LINK_DAYS", default=3)),  # a link that proves an address
    "reset": timedelta(minutes=env.int("RESET_LINK_MINUTES", default=60)),  # one that lets choose a password
    "change": timedelta(days=env.int("EMAIL_CHANGE_LINK_DAYS", default=1)),  # one that proves a new address
}

TENANT_AUDIENCE = f"{ISSUER}/api"
OPERATOR_AUDIENCE = f"{ISSUER}/operator"
FIRST_PARTY_CLIENT_ID = "tenantry"

ACCESS_LIFETIME = timedelta(seconds=env.int("ACCESS_SECONDS", default=300))  # that an access token is good
REFRESH_IDLE_LIFETIME = timedelta(days=env.int("REFRESH_IDLE_DAYS", default=14))  # after which an unused session ends
REFRESH_GRACE = timedelta(seconds=env.int("REFRESH_GRACE_SECONDS", default=10))  # to ask again with a used token
SESSION_LIFETIME = timedelta(days=env.int("SESSION_DAYS", default=30))  # after which every session ends
OPERATOR_IDLE_LIFETIME = timedelta(minutes=env.int("OPERATOR_IDLE_MINUTES", default=60))  # of unused staff sessions
OPERATOR_SESSION_LIFETIME = timedelta(hours=env.int("OPERATOR_SESSION_HOURS", default=12))  # of all staff sessions
SUPPORT_LIFETIME = timedelta(minutes=60)  # of support access, which nothing extends
SUPPORT_REQUEST_LIFETIME = timedelta(hours=env.int("SUPPORT_REQUEST_HOURS", default=24))  # for a tenant to decide in
SUPPORT_COLLECT_LIFETIME = timedelta(minutes=env.int("SUPPORT_COLLECT_MINUTES", default=30))  # to begin what it allowed
LONGEST_LIFETIME = max(ACCESS_LIFETIME, SUPPORT_LIFETIME)  # of any access token: as long a key outlives its last use
CUSTOM_ROLES_LIMIT = env.int("CUSTOM_ROLES_LIMIT", default=100)  # roles that one tenant composes
OWN_TENANTS_LIMIT = env.int("OWN_TENANTS_LIMIT", default=5)  # tenants that one person creates
INVITATION_DAYS = 7  # unless the inviter says otherwise, up to INVITATION_DAYS_LIMIT
INVITATION_DAYS_LIMIT = 30
DOMAIN_LIMIT = env.int("DOMAIN_LIMIT", default=20)  # domains of one tenant
DOMAIN_CLAIM_LIFETIME = timedelta(days=env.int("DOMAIN_CLAIM_DAYS", default=7))  # for a domain to be proved in
DOMAIN_PROOF_LIFETIME = timedelta(days=env.int("DOMAIN_PROOF_DAYS", default=90))  # of a proof, unless it is renewed
# Domains where anybody gets an address, besides those that identity/domains lists: nobody's to prove.
PUBLIC_MAIL_DOMAINS: list[str] = env.list("PUBLIC_MAIL_DOMAINS", default=[])
DNS_NAMESERVERS: list[str] = env.list("DNS_NAMESERVERS", default=[])  # who is asked, else whom the system asks
DNS_SECONDS = env.float("DNS_SECONDS", default=2.0)  # that one look-up takes at most
# How recent a sign-in must be for what a view lists in `recent_sign_in`.
STEP_UP_MAX_AGE = timedelta(seconds=env.int("STEP_UP_SECONDS", default=900))
# How long events stay in the audit trail before `manage.py prune` deletes them, in days; 0 keeps them for good.
AUDIT_RETENTION = timedelta(days=env.int("AUDIT_RETENTION_DAYS", default=400))
# How long what is over (ended sessions, spent keys, expired secrets) is kept before `manage.py prune` deletes it.
RETENTION = timedelta(days=env.int("RETENTION_DAYS", default=30))

SIMPLE_JWT = {
    "ALGORITHM": "ES256",
    "AUTH_TOKEN_CLASSES": ("identity.tokens.tokens.TenantAccessToken",),
    "ISSUER": ISSUER,
    "SIGNING_KEY": "",  # the ring of identity.keys signs; simplejwt's own key must never be SECRET_KEY
    "USER_ID_CLAIM": "sub",
}

# --- Mail -------------------------------------------------------------------------------------------------------------

PRODUCT_NAME = env.str("PRODUCT_NAME", default="Tenantry")  # in mails, and as their sender
# Where people click to: its pages /verify-email, /reset-password and /accept-invitation take the token of a link.
FRONTEND_URL = env.str("FRONTEND_URL", default=ISSUER).rstrip("/")
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default=f"{PRODUCT_NAME} <no-reply@{BASE_DOMAIN}>")  # who mails
# smtp+tls://user:password@host:587 (STARTTLS), smtp+ssl://, smtp://; consolemail:// prints.
_email: dict[str, Any] = env.email_url("EMAIL_URL", default="consolemail://" if IN_DEVELOPMENT else env.NOTSET)
_prints = _email["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"
EMAIL_BACKEND = "config.mailbox.DevelopmentBackend" if _prints and IN_DEVELOPMENT else _email["EMAIL_BACKEND"]
EMAIL_USE_TLS, EMAIL_USE_SSL = _email.get("EMAIL_USE_TLS", False), _email.get("EMAIL_USE_SSL", False)
EMAIL_HOST = _email["EMAIL_HOST"] or "localhost"
EMAIL_PORT = _email["EMAIL_PORT"] or (587 if EMAIL_USE_TLS else 465 if EMAIL_USE_SSL else 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_USER"] or "", _email["EMAIL_HOST_PASSWORD"] or ""
EMAIL_TIMEOUT = env.int("EMAIL_TIMEOUT", default=10)  # seconds for the mail server to answer
# Who sends what is in the outbox: a thread of each serving process, or `manage.py send_mail` alone.
MAIL_DELIVERY = env.str("MAIL_DELIVERY", default="thread", choices=("thread", "command"))

# --- The life of tenants ----------------------------------------------------------------------------------------------

# How many finished schemas wait for new tenants. A tenant beyond them takes as long as making its tables.
POOL_SIZE = env.int("POOL_SIZE", default=3 if IN_DEVELOPMENT else 10)
# What tenants may use, by plan: `seats`, `requests_per_minute`, `clients`; what a plan does not name has no limit.
PLANS: dict[str, dict[str, int | None]] = env.json("PLANS", default={"standard": {}})
DEFAULT_PLAN = env.str("DEFAULT_PLAN", default=next(iter(PLANS), ""))  # of new tenants; else the first of PLANS
# How long a tenant that is to be deleted can still be brought back.
TENANT_DELETION_GRACE = timedelta(days=env.int("TENANT_DELETION_GRACE_DAYS", default=30))
PRODUCT_VERSION = "0.1.0"  # pyproject.toml's, for those who run without that file

# --- Jobs -------------------------------------------------------------------------------------------------------------

# Where exports of tenants are written and downloaded from: one folder for workers and serving processes, nobody else's.
EXPORT_DIR = Path(env.str("EXPORT_DIR", default=str(DATA_DIR / "exports"))).absolute()
EXPORT_LIFETIME = timedelta(hours=env.int("EXPORT_HOURS", default=48))  # until an export is deleted
JOBS_CONCURRENCY = env.int("JOBS_CONCURRENCY", default=4)  # jobs at a time in one worker
JOBS_POLL_SECONDS = env.float("JOBS_POLL_SECONDS", default=2.0)  # how often a worker looks for work
# Whether it is told of new work at once, too (LISTEN): off behind a pooler in transaction mode, where nobody is told.
JOBS_LISTEN = env.bool("JOBS_LISTEN", default=True)
# A worker that has not been heard of for so long is dead; its jobs are done by others, from their beginning.
JOB_STALLED_SECONDS = env.float("JOB_STALLED_SECONDS", default=30.0)
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = ""  # the queue's only tasks are those of the worker

# --- DRF --------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "identity.tokens.authentication.BearerAuthentication",
        *(["identity.browser.authentication.SessionAuthentication"] if API_SESSIONS else []),  # noqa: F405 -- as above
    ],
    "DEFAULT_PERMISSION_CLASSES": ["permissions.drf.ScopePermission"],
    "DEFAULT_THROTTLE_CLASSES": ["permissions.throttles.LimitThrottle"],
    "DEFAULT_PARSER_CLASSES": ["config.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["config.renderers.FastJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.negotiation.FastContentNegotiation",
    "DEFAULT_FILTER_BACKENDS": [
        "config.filters.ViewFilterBackend",
        "config.filters.ViewSearchFilter",
        "config.pagination.StrictOrderingFilter",
    ],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.SignedCursorPagination",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.ScopedAutoSchema",
    "EXCEPTION_HANDLER": "config.problems.exception_handler",
    "UNAUTHENTICATED_USER": "permissions.principals.anonymous",
    "UNAUTHENTICATED_TOKEN": "permissions.principals.anonymous",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": r"/(?:api|operator)/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.add_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "AccessStatusEnum": "identity.members.models.MembershipStatus.choices",
        "TenantStatusEnum": "tenants.registry.models.TenantStatus.choices",
        "SupportStatusEnum": "operators.models.SupportStatus.choices",
        "MailDomainStatusEnum": "identity.domains.models.ClaimStatus.choices",
    },
}

# --- Files, time, transport -------------------------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = None if IN_DEVELOPMENT else ROOT / "static"  # production runs collectstatic
WHITENOISE_USE_FINDERS = IN_DEVELOPMENT

TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

SECURE_SSL_REDIRECT = not IN_DEVELOPMENT
SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]  # probes come over plain HTTP from inside
SECURE_HSTS_SECONDS = 0 if IN_DEVELOPMENT else env.int("HSTS_SECONDS", default=31_536_000)  # browsers stay with https
SECURE_HSTS_INCLUDE_SUBDOMAINS = not IN_DEVELOPMENT
SECURE_HSTS_PRELOAD = not IN_DEVELOPMENT
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SILENCED_SYSTEM_CHECKS = [
    "security.W002",  # config.middleware.AnswerMiddleware says X-Frame-Options
]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# --- Logs -------------------------------------------------------------------------------------------------------------

LOGGING = logs.configuration(
    form=env.str("LOG_FORMAT", default=logs.PLAIN if IN_DEVELOPMENT else logs.JSON),  # or plain: for people
    level=env.str("LOG_LEVEL", default="INFO"),  # of what is logged at all
)
ACCESS_LOG = env.bool("ACCESS_LOG", default=True)  # a line for each request

# --- Metrics ----------------------------------------------------------------------------------------------------------

METRICS_TOKEN = env.str(
    "METRICS_TOKEN", default=""
)  # of whoever reads /metrics; without one, production has no such path
METRICS_TENANTS = frozenset(env.list("METRICS_TENANTS", default=[]))  # slugs that have metrics of their own
