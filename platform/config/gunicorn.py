"""Gunicorn's settings, for the demo and for production alike: ``gunicorn --config platform/config/gunicorn.py``."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from config import logs  # noqa: E402 -- the path comes first
from config.worker_processes import child_exit, on_exit, on_starting, post_fork, pre_fork  # noqa: E402, F401 -- hooks

wsgi_app = "config.wsgi:application"
bind = os.environ.get("BIND", "127.0.0.1:8000")  # where it listens
worker_class = "config.draining.DrainingWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))  # processes
threads = int(os.environ.get("WEB_THREADS", "4"))  # requests at a time in each process
timeout = 30
graceful_timeout = 20  # after SIGTERM nobody new is let in, and requests under way may take so long to end
keepalive = 5
max_requests = 20_000  # a worker's memory grows with the tenants it has met: start afresh now and then
max_requests_jitter = 2_000
limit_request_line = 8190
limit_request_field_size = 8190
# Where workers show that they are alive: in memory, because a write to a disk may block.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 -- nothing is in the file
control_socket_disable = True  # it would listen in the home directory
accesslog = None  # each request has a line of ours; see config/observing.py
logconfig_dict = logs.gunicorn_configuration()
