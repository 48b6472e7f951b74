"""The forms and answers of OAuth, for the documentation; the rules are in ``api``."""

from typing import Any

from rest_framework import serializers

from identity.tokens.serializers import AccessTokenSerializer


class ClientFieldsSerializer(serializers.Serializer[Any]):
    """How a client says who it is, unless it does so by HTTP Basic."""

    client_id = serializers.CharField(required=False)
    client_secret = serializers.CharField(required=False)


class GrantSerializer(ClientFieldsSerializer):
    """A grant."""

    grant_type = serializers.CharField(
        help_text="`authorization_code`, `client_credentials`, `refresh_token`, or "
        "`urn:ietf:params:oauth:grant-type:token-exchange`."
    )
    scope = serializers.CharField(required=False, help_text="Space-separated, if the token shall hold fewer scopes.")
    code = serializers.CharField(required=False, help_text="With `authorization_code`.")
    redirect_uri = serializers.CharField(required=False, help_text="With `authorization_code`: the same as there.")
    code_verifier = serializers.CharField(required=False, help_text="With `authorization_code`: of its PKCE challenge.")
    refresh_token = serializers.CharField(required=False, help_text="With `refresh_token`.")
    subject_token = serializers.CharField(required=False, help_text="With token exchange: an access token of a person.")
    subject_token_type = serializers.CharField(
        required=False, help_text="With token exchange: `urn:ietf:params:oauth:token-type:access_token`."
    )
    audience = serializers.CharField(required=False, help_text="With token exchange: slug of the tenant to enter.")


class OAuthTokensSerializer(AccessTokenSerializer):
    """Tokens (RFC 6749 section 5.1)."""

    role = serializers.CharField(allow_null=True, required=False, help_text="For people; machine clients have none.")
    refresh_token = serializers.CharField(
        required=False, help_text="For people; machine clients have none, and applications without `offline_access`."
    )
    id_token = serializers.CharField(required=False, help_text="With `authorization_code`, and the scope `openid`.")
    issued_token_type = serializers.CharField(required=False, help_text="With token exchange.")


class TokenFormSerializer(ClientFieldsSerializer):
    """A token to look at, or to revoke."""

    token = serializers.CharField()
    token_type_hint = serializers.CharField(required=False, help_text="Not needed: a token says what it is.")


class IntrospectionSerializer(serializers.Serializer[Any]):
    """What a token says, if all of it is true now (RFC 7662 section 2.2); otherwise `active` is false and alone."""

    active = serializers.BooleanField()
    token_type = serializers.CharField(required=False)
    iss = serializers.CharField(required=False)
    aud = serializers.CharField(required=False)
    sub = serializers.UUIDField(required=False)
    client_id = serializers.CharField(required=False)
    scope = serializers.CharField(required=False)
    iat = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(required=False)
    jti = serializers.CharField(required=False)
    tenant = serializers.CharField(required=False)
    tenant_id = serializers.UUIDField(required=False)
    role = serializers.CharField(required=False)
    sid = serializers.UUIDField(required=False)
    ver = serializers.IntegerField(required=False)
    auth_time = serializers.IntegerField(required=False)
    amr = serializers.ListField(child=serializers.CharField(), required=False)
    act = serializers.DictField(required=False)


class MetadataSerializer(serializers.Serializer[Any]):
    """What this authorization server can do (RFC 8414 section 2)."""

    issuer = serializers.CharField()
    authorization_endpoint = serializers.CharField()
    token_endpoint = serializers.CharField()
    introspection_endpoint = serializers.CharField()
    revocation_endpoint = serializers.CharField()
    jwks_uri = serializers.CharField()
    service_documentation = serializers.CharField()
    response_types_supported = serializers.ListField(child=serializers.CharField())
    response_modes_supported = serializers.ListField(child=serializers.CharField())
    code_challenge_methods_supported = serializers.ListField(child=serializers.CharField())
    authorization_response_iss_parameter_supported = serializers.BooleanField()
    grant_types_supported = serializers.ListField(child=serializers.CharField())
    scopes_supported = serializers.ListField(child=serializers.CharField())
    token_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    introspection_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    revocation_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())


class OpenIdMetadataSerializer(MetadataSerializer):
    """What this OpenID provider can do (OpenID Connect Discovery section 3)."""

    userinfo_endpoint = serializers.CharField()
    subject_types_supported = serializers.ListField(child=serializers.CharField())
    id_token_signing_alg_values_supported = serializers.ListField(child=serializers.CharField())
    claims_supported = serializers.ListField(child=serializers.CharField())
    prompt_values_supported = serializers.ListField(child=serializers.CharField())
    claims_parameter_supported = serializers.BooleanField()
    request_parameter_supported = serializers.BooleanField()
    request_uri_parameter_supported = serializers.BooleanField()


class UserInfoSerializer(serializers.Serializer[Any]):
    """Who it is (OpenID Connect Core section 5.1)."""

    sub = serializers.UUIDField()
    name = serializers.CharField(required=False, help_text="With the scope `profile`.")
    email = serializers.CharField(required=False, help_text="With the scope `email`.")
    email_verified = serializers.BooleanField(required=False, help_text="With the scope `email`.")
