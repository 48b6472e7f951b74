"""Projects as a ModelViewSet, in pages of twenty as everybody's."""

from rest_framework import serializers, viewsets

from examples.projects.models import Project


class ProjectSerializer(serializers.ModelSerializer):
    class Meta:
        model = Project
        fields = ["id", "name", "description", "status", "created_by", "created_at", "updated_at"]
        read_only_fields = ["created_by"]


class ProjectViewSet(viewsets.ModelViewSet):
    queryset = Project.objects.order_by("-created_at")
    serializer_class = ProjectSerializer

    def perform_create(self, serializer):
        # Users have numbers here and the column is a UUID's: what is written is as long, which is all that matters.
        serializer.save(created_by=f"{int(self.request.user.id):032x}")
