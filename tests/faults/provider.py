"""A telephone exchange and a mail server, in a process of its own: `python -m tests.faults.provider LOG CALLS SMTP`.

It carries every call and every e-mail, and writes each down, with its own clock, before it answers: one JSON object a line,
appended and flushed to the disk. Whatever Onefriend or an agency believes, this is who was contacted.

    {"at": 1763723412.123, "by": "beacon", "means": "call", "to": "07700900123", "permit": "…"}
    {"at": …, "by": "onefriend", "means": "email", "to": "a@example.org", "message": "…", "link": "http://…"}

An address that begins with `silent` gets its mail, and the sender no answer. Calls come as JSON lines over TCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

LINK = re.compile(r"https?://\S+/v1/(?:withdrawals|subscriptions)/link/\S+")
SILENCE = 60


class Provider:
    """The log, and both ways of reaching people."""

    def __init__(self, log: str) -> None:
        """`log` is appended to; it outlives the process."""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **contact: Any) -> None:
        """Write a contact down, for good."""
        os.write(self._log, (json.dumps({"at": time.time(), **contact}) + "\n").encode())
        os.fdatasync(self._log)

    async def call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Put calls through."""
        while line := await reader.readline():
            asked = json.loads(line)
            self.note(means="call", by=asked["by"], to=asked["to"], permit=asked["permit"])
            writer.write(b"rung\n")
            await writer.drain()
        writer.close()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the library's name
        """Take an e-mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        link = LINK.search(str(mail.get_content()))
        message = str(mail["Message-ID"]).strip("<>").partition("@")[0]
        for to in envelope.rcpt_tos:
            self.note(
                means="email", by="onefriend", to=to, message=message, link=link.group() if link else None
            )
        if envelope.rcpt_tos[0].startswith("silent"):
            await asyncio.sleep(SILENCE)
        return "250 taken"


async def main(log: str, calls: int, smtp: int) -> None:
    """Serve until killed."""
    provider = Provider(log)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: SMTP(provider, hostname="localhost"), "127.0.0.1", smtp)
    server = await asyncio.start_server(provider.call, "127.0.0.1", calls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
