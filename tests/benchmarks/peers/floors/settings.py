"""The product's settings without its middleware, and views that do next to nothing."""

from config.settings import *  # noqa: F403 -- the same database, and the same everything else

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "tests.benchmarks.peers.floors.urls"
