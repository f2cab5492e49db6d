"""Settings of a hub process: from the environment (``CARELANE_…``) or a ``.env`` file."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from carelane.domain.listening import ListenPorts
from carelane.kit.http import networks


class Settings(BaseSettings):
    """Every setting has a default that works on one machine."""

    model_config = SettingsConfigDict(env_prefix="CARELANE_", env_file=".env", extra="ignore")

    data: Path = Field(Path(".carelane"), description="Folder of the embedded database, the keys and the logs.", examples=["/var/lib/carelane"])
    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL 15 or newer to use instead of the embedded one; its user owns the schema.",
        examples=["postgresql://carelane:…@db.example.org/carelane"],
    )
    master_key: SecretStr = Field(
        SecretStr(""),
        description="Key that wraps the organizations' keys, 32 bytes in base64; else a file made in the data folder.",
        examples=["openssl rand -base64 32"],
    )
    host: str = Field("127.0.0.1", description="Address of the web server (dashboard and HTTP API).", examples=["0.0.0.0"])  # noqa: S104
    port: int = Field(8080, ge=0, le=65535, description="Port of the web server.", examples=[8080])
    listen_ports: str = Field(
        "2575,20000-29999",
        description="Ports that sources may listen on: numbers and ranges, comma-separated; 0 lets the system choose one, for trials.",
        examples=["2575,6661-6699"],
    )
    listen_ports_each: int = Field(
        100, ge=1, le=65535, description="Listen ports one organization may hold, those reserved for it after use among them.", examples=[20]
    )
    allowed_networks: str = Field(
        "",
        description="Private ranges that destinations may lie in, comma-separated; public addresses are always allowed.",
        examples=["10.0.0.0/8,127.0.0.0/8"],
    )
    node: str = Field("", description="Name of this node among several on one database; the host's name and process id when empty.", examples=["hub-1"])
    request_timeout_s: float = Field(30.0, gt=0, description="Seconds a client may take to send a whole HTTP request.", examples=[30])
    grace_s: float = Field(
        30.0, ge=0, le=3600, description="Seconds that what is in flight may take to end after SIGTERM or Ctrl-C; then it is cut.", examples=[30]
    )
    keep_bodies_days: int = Field(60, ge=8, le=36500, description="Days that what messages and inboxes hold is kept.", examples=[30])
    keep_metadata_days: int = Field(
        400, ge=8, le=36500, description="Days that headings, deliveries and attempts are kept; not shorter than their content.", examples=[730]
    )
    low_water_mb: int = Field(2048, ge=0, description="Free disk space, in MB, below which no message is taken.", examples=[2048])

    smtp_url: SecretStr = Field(
        SecretStr(""),
        description="Mail server for requests, invitations and alerts; without one they are told in the log.",
        examples=["smtp://user:password@mail.example.org:587"],
    )
    mail_from: str = Field("carelane@localhost", description="Sender of those mails.", examples=["hub@example.org"])
    sign_up: bool = Field(True, description="Whether strangers may sign up; else an operator or an invitation lets people in.", examples=[False])

    @field_validator("smtp_url")
    @classmethod
    def _mail(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if text and not text.startswith(("smtp://", "smtps://")):
            raise ValueError("write smtp://host:port or smtps://host:port")
        return value

    @model_validator(mode="after")
    def _longer(self) -> "Settings":
        if self.keep_metadata_days < self.keep_bodies_days:
            raise ValueError("CARELANE_KEEP_METADATA_DAYS must not be shorter than CARELANE_KEEP_BODIES_DAYS")
        return self

    @field_validator("listen_ports")
    @classmethod
    def _ports(cls, value: str) -> str:
        ListenPorts.parse(value)
        return value

    @property
    def listening(self) -> ListenPorts:
        """Where sources may listen; never on the web server's own port."""
        return ListenPorts.parse(self.listen_ports, each=self.listen_ports_each, but=[self.port])

    @field_validator("allowed_networks")
    @classmethod
    def _ranges(cls, value: str) -> str:
        networks(value.split(","))
        return value
