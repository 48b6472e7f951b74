"""``/scim/v2``."""

from django.urls import path

from identity.scim import api

urlpatterns = [
    path("ServiceProviderConfig", api.ServiceProviderConfigView.as_view(), name="scim-config"),
    path("ResourceTypes", api.ResourceTypesView.as_view(), name="scim-resource-types"),
    path("ResourceTypes/<str:name>", api.ResourceTypesView.as_view(), name="scim-resource-type"),
    path("Schemas", api.SchemasView.as_view(), name="scim-schemas"),
    path("Schemas/<str:name>", api.SchemasView.as_view(), name="scim-schema"),
    path("Users", api.UsersView.as_view(), name="scim-users"),
    path("Users/<uuid:pk>", api.UserView.as_view(), name="scim-user"),
    path("Groups", api.GroupsView.as_view(), name="scim-groups"),
    path("Groups/<uuid:pk>", api.GroupView.as_view(), name="scim-group"),
    path("Bulk", api.NotSupportedView.as_view(), name="scim-bulk"),
    path("Me", api.NotSupportedView.as_view(), name="scim-me"),
    path(".search", api.NotSupportedView.as_view(), name="scim-search"),
    path("<path:rest>", api.NothingView.as_view(), name="scim-nothing"),
]
