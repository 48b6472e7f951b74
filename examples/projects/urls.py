from rest_framework.routers import SimpleRouter

from examples.projects.api import ProjectViewSet, TaskViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("projects", ProjectViewSet, basename="project")
router.register("tasks", TaskViewSet, basename="task")

urlpatterns = router.urls
