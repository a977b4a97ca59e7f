"""Settings that every service has, from the environment (prefix ONEFRIEND_)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

SERVICES = ("intake", "consent", "allocation", "notifications")
# Which service owns, and so publishes and can repair, each topic.
OWNERS = {
    "people": "intake",
    "referrals": "intake",
    "cases": "allocation",
    "agencies": "allocation",
    "consent": "consent",
    "notifications": "notifications",
}


class RuntimeSettings(BaseSettings):
    """What the runtime needs; a service adds its own fields in a subclass."""

    model_config = SettingsConfigDict(env_prefix="ONEFRIEND_", extra="ignore")

    database_url: SecretStr
    database_pool: int = 12
    kafka: str = "127.0.0.1:9092"
    topic_prefix: str = ""
    partitions: int = 4
    replication: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    jwks_url: str = ""
    token_url: str = ""
    issuer: str = "onefriend"
    audience: str = "onefriend"
    client_id: str = ""
    client_secret: SecretStr = SecretStr("")
    intake_url: str = ""
    consent_url: str = ""
    allocation_url: str = ""
    notifications_url: str = ""
    development: bool = False
    otlp_endpoint: str | None = None
    trace_sample: float = 1.0
    log_level: str = "INFO"
    body_limit: int = 1_048_576
    state_folder: Path = Path(".onefriend")

    def url_of(self, service: str) -> str:
        """Return another service's base URL. Raises KeyError if there is no such service."""
        return {name: str(getattr(self, f"{name}_url")) for name in SERVICES}[service].rstrip("/")


S = TypeVar("S", bound=RuntimeSettings)


def from_environment(kind: type[S]) -> S:
    """Return a service's settings. Raises ValueError that names each variable that is wrong, and never its value."""
    try:
        return kind()
    except ValidationError as error:
        wrong = [f"ONEFRIEND_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
    message = f"the environment does not say what a service needs ({'; '.join(wrong)}): see the README"
    raise ValueError(message)
