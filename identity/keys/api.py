"""``/.well-known/jwks.json``."""

import hashlib
import json
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from identity.keys import selectors

MAX_AGE_SECONDS = 300  # what a verifier may keep; settings.SIGNING_KEY_LEAD is longer


class JwkSerializer(serializers.Serializer[Any]):
    """A public key (RFC 7517 section 4)."""

    kid = serializers.CharField(help_text="RFC 7638 thumbprint.")
    kty = serializers.CharField()
    use = serializers.CharField()
    alg = serializers.CharField()
    crv = serializers.CharField(required=False)
    x = serializers.CharField(required=False)
    y = serializers.CharField(required=False)
    n = serializers.CharField(required=False)
    e = serializers.CharField(required=False)


class JwksSerializer(serializers.Serializer[Any]):
    """A set of public keys (RFC 7517 section 5)."""

    keys = JwkSerializer(many=True)


class JwksView(APIView):
    """The public keys."""

    @extend_schema(operation_id="jwks", summary="Public keys", responses=JwksSerializer, tags=["well-known"])
    def get(self, request: Request) -> Response:
        """The keys that verify access tokens: future, present and past signers. Keep them for as long as
        `Cache-Control` says, and look again when a token names a `kid` that is not among them.
        """
        keys = {"keys": [dict(key.public_jwk) for key in selectors.published_keys()]}
        tag = f'"{hashlib.sha256(json.dumps(keys).encode()).hexdigest()[:32]}"'
        headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}", "ETag": tag}
        if request.headers.get("If-None-Match") == tag:
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(keys, headers=headers)
