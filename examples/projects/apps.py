from django.apps import AppConfig

from permissions import policy
from permissions.policy import Grant


class ProjectsConfig(AppConfig):
    name = "examples.projects"

    def ready(self) -> None:
        clients_too = policy.PEOPLE_AND_CLIENTS
        policy.register(
            Grant("projects:read", "See projects.", policy.EVERY_ROLE, clients_too),
            Grant("projects:write", "Create, change and delete projects.", policy.FROM_MEMBER, clients_too),
            Grant("tasks:read", "See tasks.", policy.EVERY_ROLE, clients_too),
            Grant("tasks:write", "Create, change and delete tasks.", policy.FROM_MEMBER, clients_too),
        )
