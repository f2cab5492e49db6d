"""The shapes of the platform API that many of its routes share: public ids, texts, pages, problems."""

from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from carelane.kit.ids import parse_uuid, public
from carelane.models.schemas import model_events

Item = TypeVar("Item")
Environment = Literal["development", "staging", "production"]
EnvironmentRole = Literal["engineer", "support", "viewer"]
OrganizationRole = Literal["owner", "admin", "member"]


class PublicId:
    """Marks a UUID that is read and written with its prefix: ``con_0190…``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the text; write it back the same way."""
        return core_schema.no_info_plain_validator_function(
            self._read, serialization=core_schema.plain_serializer_function_ser_schema(lambda value: public(self.prefix, value))
        )

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe it as text with a pattern."""
        return {"type": "string", "pattern": f"^{self.prefix}_[0-9a-f]{{32}}$", "examples": [f"{self.prefix}_0199c0de5eed7abc8def0123456789ab"]}

    def _read(self, value: Any) -> UUID:
        if isinstance(value, UUID):
            return value
        if not isinstance(value, str) or not value.startswith(f"{self.prefix}_"):
            raise ValueError(f"not an id of the form {self.prefix}_<32 hexadecimal digits>")
        return parse_uuid(self.prefix, value)


OrganizationId = Annotated[UUID, PublicId("org")]
PersonId = Annotated[UUID, PublicId("usr")]
InvitationId = Annotated[UUID, PublicId("inv")]
ConnectionId = Annotated[UUID, PublicId("con")]
SubscriptionId = Annotated[UUID, PublicId("sub")]
SourceId = Annotated[UUID, PublicId("src")]
DestinationId = Annotated[UUID, PublicId("dst")]
KeyId = Annotated[UUID, PublicId("key")]
PersonalKeyId = Annotated[UUID, PublicId("pky")]
MessageId = Annotated[UUID, PublicId("msg")]


def _storable(text: str) -> str:
    """PostgreSQL keeps every character but NUL."""
    if "\0" in text:
        raise ValueError("a text cannot hold NUL characters")
    return text


def _known(text: str) -> str:
    """Only data models that this hub speaks."""
    if text not in model_events():
        raise ValueError("this hub knows no such data model; GET /data-models lists them")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_storable)]
Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(_storable)]
Text = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_storable)]
Model = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_known), Field(examples=["PatientAdmin"])]


class Shape(BaseModel):
    """Every body: camelCase names, nothing unknown."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="forbid", hide_input_in_errors=True)


Made = TypeVar("Made", bound=Shape)


def shaped(shape: type[Made], found: object, **more: object) -> Made:
    """Write a thing in a shape, with some of its fields given."""
    values: dict[str, object] = {}
    for name, field in shape.model_fields.items():
        alias = field.validation_alias
        values[name] = more[name] if name in more else getattr(found, alias if isinstance(alias, str) and hasattr(found, alias) else name)
    return shape.model_validate(values)


class Listed(Shape, Generic[Item]):
    """A page of a list, oldest first unless said otherwise."""

    items: list[Item]
    next: str | None = Field(None, description="Give it as `cursor` for the page after this one; null at the end.")


class Wrong(Shape):
    """One part of a request that cannot be taken."""

    pointer: str = Field(description="JSON pointer into the body, or the name of the parameter.", examples=["/name"])
    detail: str


class Problem(Shape):
    """What went wrong, as RFC 9457 says it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="The kind of problem, the same for every case of it.", examples=["urn:carelane:problem:conflict"])
    title: str
    status: int
    detail: str = Field(description="What happened, in a sentence for people.")
    pointer: str = Field("", description="What to do next.")
    errors: list[Wrong] = Field(default_factory=list)


class Judged(Shape):
    """What a test of an endpoint found, in words."""

    verdict: str = Field(examples=["delivered"])
    reason: str = Field("", examples=["nothing listens on lab.example.org:2575 (connection refused)"])
