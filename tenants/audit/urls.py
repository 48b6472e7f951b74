from django.urls import path

from tenants.audit.api import AuditEventViewSet

urlpatterns = [
    path("audit-events", AuditEventViewSet.as_view({"get": "list"}), name="audit-event-list"),
    path("audit-events/export", AuditEventViewSet.as_view({"get": "export"}), name="audit-event-export"),
    path("audit-events/verify", AuditEventViewSet.as_view({"get": "verify"}), name="audit-event-verify"),
    path("audit-events/<uuid:pk>", AuditEventViewSet.as_view({"get": "retrieve"}), name="audit-event-detail"),
]
