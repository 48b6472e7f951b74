"""Signing keys that are kept in the database."""

from django.db import models

from identity.keys.ring import Algorithm
from tenants.wall.openings import closed


@closed
class StoredKey(models.Model):
    """A signing key, encrypted at rest; see ``encryption``.

    Attributes:
        private_key: PKCS #8 in PEM, encrypted.
        activates_at: it signs from then on, until a younger key does. Before that it is published and signs nothing.
        retired_at: taken out of use by hand; tokens that it signed are refused from their next request on.
    """

    kid = models.CharField(primary_key=True, max_length=43)
    algorithm = models.CharField(max_length=8, choices=[(name.value, name.value) for name in Algorithm])
    private_key = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    activates_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.kid
