"""The text of a refresh token: ``tr_``, and the rest as ``identity.keys.computed`` says. Its row is the family.

Nothing about a token has to be stored, and the successor of a token can be computed again.
"""

from typing import ClassVar
from uuid import UUID

from identity.keys.computed import ComputedToken, MalformedToken

MalformedRefreshToken = MalformedToken


class RefreshToken(ComputedToken):
    """A refresh token, read but not yet believed."""

    label: ClassVar[str] = "tenantry refresh token"
    prefix: ClassVar[str] = "tr_"

    @property
    def family_id(self) -> UUID:
        return self.row_id
