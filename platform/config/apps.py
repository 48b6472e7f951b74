from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        from config import checks, metrics, telemetry  # noqa: F401 -- importing registers the checks

        metrics.connect()
        telemetry.start()
