"""Intake's settings, from the environment (prefix ONEFRIEND_)."""

from __future__ import annotations

from pathlib import Path

from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """What intake needs besides the runtime's."""

    master_key_file: Path
    batch_limit: int = 64 * 1024 * 1024  # bytes of one NDJSON or CSV batch
    line_limit: int = 256 * 1024  # bytes of one of its lines
    public_url: str = ""  # under which people reach the withdrawal page; "" = this service's own address
    link_days: int = 730  # for which the link in a message can be used to withdraw
    smtp_host: str = ""
    smtp_port: int = 25
    mail_from: str = "no-reply@onefriend.example"
    # Of the identity model, where there is such a file; else those that are shipped.
    identity_weights: Path | None = None
    # Share of decisions about who is who that a second person looks at, not knowing the first.
    second_reviews: float = 0.1
