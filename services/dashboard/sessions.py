"""Who is signed in: OAuth2's authorization code with PKCE, a sealed cookie, and tokens renewed as long as the session lasts.

The cookie holds the refresh token, sealed with a key that every process of the dashboard derives from its own client secret:
nothing is stored, and a restart signs nobody out. Access tokens are kept in memory for their five minutes. An issuer may
replace the refresh token whenever it is used, and take the use of an old one for theft: then the browser is given another
cookie, and whoever still comes with the one before (pages load several things at once) is known in memory until it has it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from services.dashboard.settings import Settings
from shared.runtime.errors import Unavailable

T = TypeVar("T")
SIGN_IN_SECONDS: Final = 600  # for typing a password
_MOST: Final = 10_000  # tokens in memory
_EARLY: Final = 30.0  # seconds before its end a token is renewed


class Over(Exception):
    """The session has ended, or there never was one: sign in (again)."""


class Ticket(msgspec.Struct, frozen=True):
    """What the cookie holds while somebody is signing in."""

    state: str
    verifier: str
    onward: str


class Session(msgspec.Struct, frozen=True):
    """What the cookie holds afterwards. `csrf` goes into every form."""

    refresh: str
    csrf: str

    def wrote(self, csrf: str) -> bool:
        """Whether a form is one that we made for this session."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode())


@dataclass
class _Kept:
    """What is known of a session in memory: its newest refresh token, all that it has had, and an access token."""

    refresh: str
    had: set[str]
    token: str = ""
    until: float = 0.0
    renewing: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Sessions:
    """Signing in and out, and the tokens of those who are signed in."""

    settings: Settings
    http: httpx.AsyncClient
    _seal: Fernet = field(init=False)
    # By the session's csrf, which stays the same.
    _kept: dict[str, _Kept] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Derive the key."""
        secret = self.settings.client_secret.get_secret_value() or secrets.token_hex()
        derived = HKDF(SHA256(), 32, None, b"onefriend/dashboard/cookie").derive(secret.encode())
        self._seal = Fernet(base64.urlsafe_b64encode(derived))

    # --- cookies

    def seal(self, content: Ticket | Session) -> str:
        """Return a cookie's value."""
        return self._seal.encrypt(msgspec.json.encode(content)).decode()

    def renewed(self, cookie: str, session: Session) -> tuple[str, int]:
        """Return a session's next cookie and the seconds until it ends: when the one before it would have."""
        began = self._seal.extract_timestamp(cookie.encode())
        value = self._seal.encrypt_at_time(msgspec.json.encode(session), began).decode()
        return value, max(0, began + self.seconds - int(time.time()))

    @property
    def seconds(self) -> int:
        """How long a session lasts at most."""
        return int(self.settings.session_hours * 3600)

    def session(self, cookie: str) -> Session:
        """Return the session of a cookie. Raises Over."""
        return self._opened(cookie, self.seconds, Session)

    def ticket(self, cookie: str) -> Ticket:
        """Return what was noted when the sign-in began. Raises Over."""
        return self._opened(cookie, SIGN_IN_SECONDS, Ticket)

    def _opened(self, cookie: str, seconds: float, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self._seal.decrypt(cookie.encode(), ttl=int(seconds)), type=kind)
        except (InvalidToken, msgspec.MsgspecError):
            raise Over from None

    # --- signing in

    @property
    def _redirect(self) -> str:
        return f"{self.settings.address}/signed-in"

    def begin(self, onward: str) -> tuple[Ticket, str]:
        """Return what to remember, and the address at which people sign in."""
        ticket = Ticket(secrets.token_urlsafe(24), secrets.token_urlsafe(48), onward)
        digest = hashlib.sha256(ticket.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self._redirect,
            "state": ticket.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        return ticket, f"{self.settings.authorize_url}?{urlencode(query)}"

    async def complete(self, ticket: Ticket, state: str, code: str) -> Session:
        """Return the session that a code opens. Raises Over if it opens none, Unavailable."""
        if not hmac.compare_digest(ticket.state.encode(), state.encode()):
            raise Over
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": ticket.verifier,
        }
        kept = _Kept("", set())
        session = Session(await self._ask(kept, fields), secrets.token_urlsafe(24))
        return self._remember(session, kept)

    async def token(self, session: Session) -> tuple[str, Session]:
        """Return a valid access token, and the session as the browser is to keep it. Raises Over, Unavailable."""
        if session.csrf not in self._kept:
            self._remember(session, _Kept(session.refresh, {session.refresh}))
        kept = self._kept[session.csrf]
        async with kept.renewing:
            if session.refresh not in kept.had:  # another process has renewed it
                kept.refresh = session.refresh
                kept.had.add(session.refresh)
            if time.monotonic() > kept.until - _EARLY:
                await self._ask(kept, {"grant_type": "refresh_token", "refresh_token": kept.refresh})
        return kept.token, Session(kept.refresh, session.csrf)

    async def end(self, session: Session) -> None:
        """End a session here, and at the issuer if it answers."""
        refresh = self._kept.pop(session.csrf, _Kept(session.refresh, set())).refresh
        address = self.settings.revoke_url or f"{self.settings.token_url.rsplit('/', 1)[0]}/revoke"
        try:
            await self.http.post(address, data={"token": refresh}, auth=self._credentials, timeout=5)
        except httpx.HTTPError:
            return

    def _remember(self, session: Session, kept: _Kept) -> Session:
        if len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[session.csrf] = kept
        return session

    @property
    def _credentials(self) -> tuple[str, str]:
        return self.settings.client_id, self.settings.client_secret.get_secret_value()

    async def _ask(self, kept: _Kept, fields: dict[str, str]) -> str:
        """Ask for a session's token; returns its refresh token from now on."""
        try:
            answer = await self.http.post(
                self.settings.token_url, data=fields, auth=self._credentials, timeout=5
            )
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable("the token issuer does not answer") from error
        if answer.is_server_error:
            raise Unavailable("the token issuer cannot answer now")
        if not answer.is_success:
            raise Over
        # An issuer that does not replace refresh tokens need not send one again.
        kept.refresh = str(body.get("refresh_token") or kept.refresh)
        kept.had.add(kept.refresh)
        kept.token = body["access_token"]
        kept.until = time.monotonic() + float(body.get("expires_in", 60))
        return kept.refresh
