"""The same project after an experienced team has been at it: a pool of connections, one SET for each request, tenants
cached by host, nobody looks up a user or a role (both are in the token), and lists are not counted.
"""

from tests.benchmarks.peers.stock.settings import *  # noqa: F403 -- what is not said here stays
from tests.benchmarks.peers.stock.settings import DATABASES, MIDDLEWARE, REST_FRAMEWORK

TENANT_LIMIT_SET_CALLS = True
DATABASES["default"]["OPTIONS"] = {"pool": {"min_size": 1, "max_size": 8}}
MIDDLEWARE[0] = "tests.benchmarks.peers.stock.middleware.CachedTenantMiddleware"
REST_FRAMEWORK |= {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["tests.benchmarks.peers.stock.permissions.RoleInTokenPermission"],
    "DEFAULT_PAGINATION_CLASS": "tests.benchmarks.peers.stock.pagination.CursorPagination",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
