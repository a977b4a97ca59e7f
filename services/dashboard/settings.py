"""The dashboard's settings, from the environment (prefix ONEFRIEND_)."""

from __future__ import annotations

from shared.runtime.settings import RuntimeSettings


class Settings(RuntimeSettings):
    """What the dashboard needs besides the runtime's.

    `authorize_url`: where people sign in (OAuth2, authorization code with PKCE); `client_id` and `client_secret` are the
    dashboard's there, and `token_url` serves both. `revoke_url`: where a session is ended; "" = beside the token endpoint.
    `public_url`: under which browsers reach the dashboard; "" = this service's own address.
    """

    authorize_url: str = ""
    revoke_url: str = ""
    public_url: str = ""
    session_hours: float = 8.0

    @property
    def address(self) -> str:
        """The address that browsers know, without a slash at its end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")
