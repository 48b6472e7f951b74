"""Projects and their tasks: tables in each tenant's own schema, so no row says whose it is."""

import uuid

from django.db import models


class Project(models.Model):
    """Something a tenant works on."""

    class Status(models.TextChoices):
        ACTIVE = "active"
        ARCHIVED = "archived"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, max_length=5000)
    status = models.CharField(max_length=16, choices=Status, default=Status.ACTIVE)
    # People live in the shared schema, and no foreign key crosses into it: an id is all a tenant keeps.
    created_by = models.UUIDField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["-created_at", "id"])]

    def __str__(self) -> str:
        return self.name


class Task(models.Model):
    """A step of a project."""

    class Status(models.TextChoices):
        OPEN = "open"
        DONE = "done"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks")
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    assignee_id = models.UUIDField(null=True, blank=True, help_text="The account of the member who does it.")
    due_on = models.DateField(null=True, blank=True)
    created_by = models.UUIDField(editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["-created_at", "id"]), models.Index(fields=["project", "status"])]

    def __str__(self) -> str:
        return self.title
