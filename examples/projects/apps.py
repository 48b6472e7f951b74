from django.apps import AppConfig

from permissions import policy
from permissions.policy import Grant


class ProjectsConfig(AppConfig):
    name = "examples.projects"

    def ready(self) -> None:
        reading, writing = policy.READERS, policy.WRITERS
        policy.register(
            Grant("projects:read", "See projects.", policy.EVERY_ROLE, reading),
            Grant("projects:write", "Create, change and delete projects.", policy.FROM_MEMBER, writing),
            Grant("tasks:read", "See tasks.", policy.EVERY_ROLE, reading),
            Grant("tasks:write", "Create, change and delete tasks.", policy.FROM_MEMBER, writing),
        )
