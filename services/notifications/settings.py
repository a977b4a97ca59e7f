"""Settings of notifications, from the environment (prefix ONEFRIEND_)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from services.notifications.domain.subscription import Limits
from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """`secrets_key_file`: 32 bytes that encrypt webhook secrets. `sink_folder`: where letters and texts are written.

    `public_url`: under which mailboxes reach the page that confirms a subscription; "" = this service's own address.
    `provider_secrets`: the secret of each provider that calls back, as JSON ({"notify": "whsec_…"}).
    """

    secrets_key_file: Path | None = None
    sink_folder: Path | None = None
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 1025
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: bool | None = None
    smtp_seconds: float = 20
    mail_from: str = "no-reply@onefriend.example"
    provider_secrets: dict[str, SecretStr] = Field(default_factory=dict)
    # How long before a permit's `use_by` writing must have begun: the clocks of two databases may differ.
    use_by_margin_seconds: float = 2
    # About a day: an endpoint that is away for a night is told in the morning, and nobody has to ask for it.
    delivery_attempts: int = 36
    public_url: str = ""
    # For how long the link that confirms a subscription can be used.
    confirmation_days: int = Field(default=7, ge=1, le=90)
    # How many such links a mailbox is sent within a day, and are sent for an agency.
    confirmations_to_a_mailbox: int = Field(default=Limits.to_a_mailbox, ge=1)
    confirmations_of_an_agency: int = Field(default=Limits.of_an_agency, ge=1)

    @property
    def limits(self) -> Limits:
        """How often confirmations may be asked for."""
        return Limits(self.confirmations_to_a_mailbox, self.confirmations_of_an_agency)

    @property
    def base(self) -> str:
        """Where links in e-mails lead."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def key_file(self) -> Path:
        """Where the key of the webhook secrets is."""
        return self.secrets_key_file or self.state_folder / "notifications-secrets.key"

    @property
    def sink(self) -> Path:
        """Where the file provider writes."""
        return self.sink_folder or self.state_folder / "messages"
