from django.urls import path

from tenants.registry.api import TenantView

urlpatterns = [path("tenant", TenantView.as_view(), name="tenant")]
