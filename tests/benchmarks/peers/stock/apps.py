from django.apps import AppConfig


class PeerConfig(AppConfig):
    name = "tests.benchmarks.peers.stock"
    label = "peer"
