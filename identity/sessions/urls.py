from django.urls import path

from identity.sessions.api import MySessionViewSet

urlpatterns = [
    path(
        "me/sessions",
        MySessionViewSet.as_view({"get": "list", "delete": "destroy_others"}),
        name="me-session-list",
    ),
    path("me/sessions/<uuid:pk>", MySessionViewSet.as_view({"delete": "destroy"}), name="me-session-detail"),
]
