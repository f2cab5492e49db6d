"""The five verbs of HL7 v2, and its settings."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from carelane.domain.delivery import Judgement
from carelane.domain.errors import CarelaneError, PackBroken
from carelane.domain.message import NOWHERE, Converted, Document, Heading, Issue, Leftovers, Origin, Outcome, Problem, Reason
from carelane.formats.hl7v2.acknowledge import acknowledge, judge
from carelane.formats.hl7v2.explain import explain
from carelane.formats.hl7v2.overlays import check_overlay, quick
from carelane.formats.hl7v2.peek import peek
from carelane.formats.hl7v2.read import read
from carelane.formats.hl7v2.split import split_messages
from carelane.formats.hl7v2.target import Charset, Version, check_messages
from carelane.formats.hl7v2.write import write
from carelane.models.malformed import MALFORMED, document_fault

TITLE = "HL7 version 2"
REQUIRES = ""
CONTENT_TYPE = "x-application/hl7-v2+er7"


class Settings(BaseModel):
    """How this endpoint speaks HL7 v2."""

    model_config = ConfigDict(extra="forbid")

    charset_fallback: str = Field("cp1252", description="Character set of bytes that are neither what MSH-18 says nor UTF-8.", examples=["cp1252"])
    time_zone: str = Field(
        "", description="IANA zone of times that carry none; without it they are in the zone of MSH-7, if that has one.", examples=["America/Chicago"]
    )
    triggers: dict[str, str] = Field(default_factory=dict, description="Your own choice of event type for a trigger.", examples=[{"ADT^A04": "Arrival"}])
    overlay: str = Field("", description="Your own changes to a built-in map: an overlay in YAML, see the how-to page on overlays.", examples=[""])
    leftovers: Literal["drop", "carry"] = Field(
        "drop", description="Write fields that no map asked for to this destination, as they came, or leave them out.", examples=["drop"]
    )
    version: Version = Field("2.5.1", description="Version written to a destination.", examples=["2.5.1"])
    messages: dict[str, str] = Field(
        default_factory=dict, description="Message written for a data model or event; else the sender's own trigger, or the usual one.",
        examples=[{"Order": "OML^O21"}],
    )  # fmt: skip
    orders: Literal["together", "apart"] = Field("together", description="Several orders in one message, or a message for each.", examples=["together"])
    charset: Charset = Field("UNICODE UTF-8", description="Character set written; a message that does not fit it is held.", examples=["8859/1"])
    sending_application: str = Field("CARELANE", description="MSH-3 of messages written to a destination.", examples=["CARELANE"])
    sending_facility: str = Field("", description="MSH-4 of messages written; the sender's facility when empty.", examples=["HUB"])
    receiving_application: str = Field("", description="MSH-5 of messages written.", examples=["LAB"])
    receiving_facility: str = Field("", description="MSH-6 of messages written.", examples=["MAIN"])
    on_error: Literal["hold", "again"] = Field("hold", description="What an AE or CR from the receiver does to the lane.", examples=["hold"])

    @field_validator("messages")
    @classmethod
    def _known(cls, chosen: dict[str, str]) -> dict[str, str]:
        check_messages(chosen)
        return chosen

    @field_validator("overlay")
    @classmethod
    def _checked(cls, text: str) -> str:
        if text.strip():
            try:
                check_overlay(text)
            except PackBroken as error:
                raise ValueError(str(error)) from None
        return text


class Hl7v2:
    """HL7 version 2 as a format plug-in."""

    content_type = CONTENT_TYPE

    def split(self, raw: bytes, most: int | None = None) -> list[bytes]:
        """Return the messages of a batch or frame."""
        return split_messages(raw, most)

    def peek(self, raw: bytes, settings: Mapping[str, Any]) -> Heading:
        """Read the heading."""
        return peek(raw, settings)

    def read(self, raw: bytes, settings: Mapping[str, Any], leftovers: Leftovers = Leftovers.NONE) -> list[Converted]:
        """Convert into documents."""
        return read(raw, settings, leftovers)

    def explain(self, raw: bytes, settings: Mapping[str, Any]) -> list[list[Reason]]:
        """Say which row made each value."""
        return explain(raw, settings)

    def write(self, document: Document, settings: Mapping[str, Any], message_id: str, origin: Origin = NOWHERE) -> tuple[bytes, list[Issue]]:
        """Write a document."""
        try:
            return write(document, settings, message_id)
        except CarelaneError:
            raise
        except MALFORMED as error:
            raise document_fault(document, error) from error

    def quick(self, settings: Mapping[str, Any], size: int) -> bool:
        """Say whether converting is a matter of moments: an overlay may have to be compiled first."""
        return quick(settings, size)

    def acknowledge(self, raw: bytes, outcome: Outcome, problem: Problem | None, now: datetime, reply_id: str) -> bytes:
        """Write the answer to a sender."""
        return acknowledge(raw, outcome, problem, now, reply_id)

    def judge(self, sent: bytes, reply: bytes, settings: Mapping[str, Any]) -> Judgement:
        """Say what a receiver's answer means."""
        return judge(sent, reply, settings)


FORMAT = Hl7v2()
