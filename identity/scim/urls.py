"""Below ``/api/v1``: what a tenant's administrators say about its directory. What that directory asks is in
``urls_scim``.
"""

from django.urls import path

from identity.scim.api_tokens import ScimGroupViewSet, ScimTokenViewSet

urlpatterns = [
    path("scim-tokens", ScimTokenViewSet.as_view({"get": "list", "post": "create"}), name="scim-token-list"),
    path("scim-tokens/<uuid:pk>", ScimTokenViewSet.as_view({"delete": "destroy"}), name="scim-token-detail"),
    path("scim-groups", ScimGroupViewSet.as_view({"get": "list"}), name="scim-group-list"),
    path(
        "scim-groups/<uuid:pk>",
        ScimGroupViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="scim-group-detail",
    ),
]
