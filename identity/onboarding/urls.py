from django.urls import path

from identity.onboarding.api import OwnTenantsView

urlpatterns = [path("tenants", OwnTenantsView.as_view(), name="own-tenant-list")]
