"""Gunicorn's settings, for the demo and for production alike: ``gunicorn --config platform/config/gunicorn.py``."""

import os

wsgi_app = "config.wsgi:application"
bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
timeout = 30
graceful_timeout = 20
keepalive = 5
max_requests = 20_000  # a worker's memory grows with the tenants it has met: start afresh now and then
max_requests_jitter = 2_000
limit_request_line = 8190
limit_request_field_size = 8190
control_socket_disable = True  # it would listen in the home directory
# Neither query strings nor referrers nor Basic credentials: they hold what people paste.
access_log_format = '%(h)s %(t)s "%(m)s %(U)s %(H)s" %(s)s %(b)s %(M)sms'
accesslog = "-" if os.environ.get("ACCESS_LOG") else None
