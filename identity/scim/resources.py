"""SCIM's resources (RFC 7643) as this product has them, from rows and back. What they do not have is ignored, as RFC
7644 section 3.3 lets us: attributes of a directory that nobody here reads are not kept.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    CaseExact,
    ChangePassword,
    ComplexAttribute,
    ETag,
    Filter,
    Meta,
    Mutability,
    Name,
    Patch,
    Reference,
    Required,
    Resource,
    ResourceType,
    Schema,
    ScimPolicy,
    ServiceProviderConfig,
    Sort,
    Uniqueness,
)
from scim2_models.urn import URN

from identity.members.models import Membership, MembershipStatus
from identity.scim.models import NAME_LENGTH, ScimGroup, ScimUser

PAGE = 100
# Entra ID puts what is to be removed into a value, and describes by a filter what is to be added.
POLICY = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
)
_OWN_COLUMNS = ("id", "externalId", "meta", "schemas", "userName", "active", "groups", "roles")


Made = TypeVar("Made", bound=Resource[Any])


class Email(ComplexAttribute):
    """An address, as the directory says it."""

    value: Annotated[str | None, Field(max_length=254)] = None
    type: Annotated[str | None, Field(max_length=64)] = None
    primary: bool | None = None


class GroupOfUser(ComplexAttribute):
    """A group that a user is in."""

    value: Annotated[str | None, Mutability.read_only] = None
    display: Annotated[str | None, Mutability.read_only] = None


class RoleOfUser(ComplexAttribute):
    """The role that a user has in the tenant."""

    value: Annotated[str | None, Mutability.read_only] = None
    primary: Annotated[bool | None, Mutability.read_only] = None


class User(Resource[Any]):
    """A member of the tenant."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    external_id: Annotated[str | None, Field(max_length=NAME_LENGTH), CaseExact.true] = None
    user_name: Annotated[str | None, Field(max_length=NAME_LENGTH), Uniqueness.server, Required.true] = None
    name: Name | None = None
    display_name: Annotated[str | None, Field(max_length=NAME_LENGTH)] = None
    title: Annotated[str | None, Field(max_length=NAME_LENGTH)] = None
    preferred_language: Annotated[str | None, Field(max_length=64)] = None
    locale: Annotated[str | None, Field(max_length=64)] = None
    timezone: Annotated[str | None, Field(max_length=64)] = None
    active: bool | None = None
    emails: Annotated[list[Email] | None, Field(max_length=20)] = None
    groups: Annotated[list[GroupOfUser] | None, Mutability.read_only] = None
    roles: Annotated[list[RoleOfUser] | None, Mutability.read_only] = None


class GroupMember(ComplexAttribute):
    """A user in a group."""

    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[Reference["User"] | None, Mutability.immutable] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = Field(None, examples=["User"])


class Group(Resource[Any]):
    """A group of the tenant's directory."""

    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:Group")

    external_id: Annotated[str | None, Field(max_length=NAME_LENGTH), CaseExact.true] = None
    display_name: Annotated[str | None, Field(max_length=NAME_LENGTH), Uniqueness.server, Required.true] = None
    members: list[GroupMember] | None = None


def user_resource(member: Membership, base: str) -> User:
    """Return a member as a SCIM user; one whom no directory has described yet, as their account has them.

    Args:
        member: with its account, its ``scim`` row and its groups.
        base: where ``/scim/v2`` is.
    """
    said: ScimUser | None = getattr(member, "scim", None)
    if said is None:
        emails = [{"value": member.user.email, "primary": True}]
        values: dict[str, Any] = {"userName": member.user.email, "emails": emails}
        values |= {"displayName": member.user.name} if member.user.name else {}
    else:
        values = {**said.attributes, "userName": said.user_name, "externalId": said.external_id or None}
    groups = sorted((row.group for row in member.scim_groups.all()), key=lambda group: str(group.pk))
    resource = User.model_validate(
        {
            **values,
            "id": str(member.pk),
            "active": member.status == MembershipStatus.ACTIVE,
            "groups": [{"value": str(group.pk), "display": group.display_name} for group in groups] or None,
            "roles": [{"value": member.role, "primary": True}],
        },
        scim_policy=POLICY,
    )
    changed_at = said.updated_at if said else member.joined_at
    return _with_meta(resource, base, member.joined_at, max(changed_at, member.joined_at))


def group_resource(group: ScimGroup, base: str) -> Group:
    """Return a group as a SCIM group.

    Args:
        group: with its members.
        base: where ``/scim/v2`` is.
    """
    members = sorted(str(row.membership_id) for row in group.members.all())
    resource = Group.model_validate(
        {
            "id": str(group.pk),
            "externalId": group.external_id or None,
            "displayName": group.display_name,
            "members": [{"value": pk, "$ref": f"{base}/Users/{pk}", "type": "User"} for pk in members] or None,
        },
        scim_policy=POLICY,
    )
    return _with_meta(resource, base, group.created_at, group.updated_at)


def attributes_of(user: User) -> dict[str, Any]:
    """Return what of a user is kept as the directory says it, without what has a place of its own."""
    return {name: value for name, value in dump(user).items() if name not in _OWN_COLUMNS}


def dump(resource: Resource[Any]) -> dict[str, Any]:
    """Return a resource as JSON has it, whole."""
    return resource.model_dump(scim_policy=POLICY)


def version_of(resource: Resource[Any]) -> str:
    """Return a resource's version: the weak entity tag of what is in it (RFC 7644 section 3.14)."""
    shown = {name: value for name, value in dump(resource).items() if name != "meta"}
    digest = hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
    return f'W/"{digest[:32]}"'


def _with_meta(resource: Made, base: str, created: datetime, changed: datetime) -> Made:
    kind = type(resource).__name__
    resource.meta = Meta(
        resource_type=kind,
        created=created,
        last_modified=changed,
        location=f"{base}/{kind}s/{resource.id}",
        version=version_of(resource),
    )
    return resource


# --- What the service says of itself (RFC 7643, sections 5 to 7) ------------------------------------------------------


@cache
def _schemas() -> Mapping[str, Schema]:
    return {str(model.__schema__): model.to_schema() for model in (User, Group)}


def schemas(base: str) -> dict[str, Schema]:
    """Return the schemas, by id."""
    return {key: _at(schema, f"{base}/Schemas/{key}", "Schema") for key, schema in _schemas().items()}


def resource_types(base: str) -> dict[str, ResourceType]:
    """Return the types of resources, by name."""
    found = [ResourceType.from_resource(model) for model in (User, Group)]
    return {str(kind.name): _at(kind, f"{base}/ResourceTypes/{kind.name}", "ResourceType") for kind in found}


def service_provider_config(base: str) -> ServiceProviderConfig:
    """Return what of SCIM is answered."""
    config = ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=False, max_operations=0, max_payload_size=0),
        filter=Filter(supported=True, max_results=PAGE),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=False),
        etag=ETag(supported=True),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="SCIM token",
                description="A token that an administrator of the tenant made, sent as a bearer token.",
                primary=True,
            )
        ],
    )
    return _at(config, f"{base}/ServiceProviderConfig", "ServiceProviderConfig")


def _at(resource: Made, location: str, kind: str) -> Made:
    copy: Made = resource.model_copy()
    copy.meta = Meta(resource_type=kind, location=location)
    return copy


def listing(found: Iterable[dict[str, Any]], *, total: int, start: int) -> dict[str, Any]:
    """Return a page of resources (RFC 7644 section 3.4.2)."""
    rows = list(found)
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(rows),
        "Resources": rows,
    }
