from django.urls import path

from identity.domains.api import DomainViewSet, ProveDomainView

urlpatterns = [
    path("domains", DomainViewSet.as_view({"get": "list", "post": "create"}), name="domain-list"),
    path(
        "domains/<uuid:pk>",
        DomainViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="domain-detail",
    ),
    path("domains/<uuid:pk>/prove", ProveDomainView.as_view(), name="domain-prove"),
]
