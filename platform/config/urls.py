"""What answers on the API hosts: all that a tenant's host answers, what is published about us, and the operator API.

Where operators have a host of their own, ``urls_api`` and ``urls_operator`` answer instead.
"""

from config import urls_api
from config.urls_operator import operator_api
from config.urls_tenant import handler400, handler403, handler404, handler500

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

urlpatterns = [*urls_api.urlpatterns, *operator_api]
