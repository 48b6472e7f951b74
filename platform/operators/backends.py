"""Operator tokens."""

from identity.sessions.models import Api
from identity.tokens import liveness
from identity.tokens.authentication import BearerAuthentication
from identity.tokens.backends import BearerBackend
from identity.tokens.errors import InvalidToken
from identity.tokens.liveness import Enter
from identity.tokens.tokens import OperatorAccessToken
from identity.tokens.verified import Verified
from operators import selectors
from permissions.principals import Kind


class OperatorBearerBackend(BearerBackend):
    """Turn an operator token into a Principal: its audience is the operator API's, and it enters no tenant."""

    token_class = OperatorAccessToken

    def check(self, token: Verified, enter: Enter) -> Kind:
        claims = token.claims
        if claims.sign_in is None or claims.act is not None or claims.tenant_id is not None:
            raise InvalidToken
        liveness.check_session(claims, claims.sign_in, token.kid, Api.OPERATOR)
        operator = selectors.active_operator(claims.sub)
        if operator is None or operator.version != claims.ver:
            raise InvalidToken
        return Kind.OPERATOR


class OperatorAuthentication(BearerAuthentication):
    """The authentication class of every operator view."""

    backend = OperatorBearerBackend
    kinds = frozenset({Kind.OPERATOR})
