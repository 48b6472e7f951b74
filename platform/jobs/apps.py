from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from jobs import receivers, work
        from tenants.lifecycle.signals import spare_claimed, work_requested

        work.register_all()
        work_requested.connect(receivers.request_work, dispatch_uid="jobs")
        spare_claimed.connect(receivers.refill_soon, dispatch_uid="jobs")
