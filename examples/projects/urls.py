from django.urls import path
from rest_framework.routers import SimpleRouter

from examples.projects.api import ProjectViewSet, TaskViewSet, task_summary

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("projects", ProjectViewSet, basename="project")
router.register("tasks", TaskViewSet, basename="task")

urlpatterns = [path("tasks/summary", task_summary, name="task-summary"), *router.urls]
