"""Settings of notifications, from the environment (prefix ONEFRIEND_)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """`secrets_key_file`: 32 bytes that encrypt webhook secrets. `sink_folder`: where letters and texts are written.

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
    delivery_attempts: int = 12

    @property
    def key_file(self) -> Path:
        """Where the key of the webhook secrets is."""
        return self.secrets_key_file or self.state_folder / "notifications-secrets.key"

    @property
    def sink(self) -> Path:
        """Where the file provider writes."""
        return self.sink_folder or self.state_folder / "messages"
