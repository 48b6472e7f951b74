from django.apps import AppConfig
from django.db.models.signals import post_migrate


class LifecycleConfig(AppConfig):
    name = "tenants.lifecycle"
    label = "tenant_lifecycle"

    def ready(self) -> None:
        from tenants.audit.models import AuditChain, AuditEvent
        from tenants.lifecycle import template
        from tenants.lifecycle.belongings import Belonging, belong
        from tenants.registry.models import Domain

        post_migrate.connect(template.ensure_after_migrating, sender=self, dispatch_uid="tenants.lifecycle")
        # What the file has in parts of their own: hosts, and the audit trail.
        belong(*(Belonging(model=model, is_exported=False) for model in (Domain, AuditEvent, AuditChain)))
