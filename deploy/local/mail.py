"""A mail server that keeps what it is given as files: what the people referred would have received.

They are written to `mail/` of the place, one file for each message, and nothing leaves the machine.
"""

import asyncio
import time
import uuid
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session


class _Keeper:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True, mode=0o700)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 -- theirs
        content = envelope.content or b""
        name = f"{time.strftime('%Y%m%dT%H%M%S')}-{uuid.uuid4().hex[:8]}.eml"
        draft = self.folder / f".{name}"
        draft.touch(mode=0o600)
        draft.write_bytes(content if isinstance(content, bytes) else content.encode())
        draft.replace(self.folder / name)
        return f"250 kept as {name}"


async def sink(folder: Path, port: int) -> asyncio.Server:
    """A server in the running event loop."""
    keeper = _Keeper(folder)
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(keeper, hostname="localhost", ident="Onefriend", enable_SMTPUTF8=True),
        host="127.0.0.1",
        port=port,
    )
