"""Sending to a person, by one interface: an SMTP server for e-mails, files for the printer of letters and the texting house.

A provider answers one of three things and never raises: sent, certainly not made, or unknown. Unknown is whatever happens
once the content is on its way: a time-out then is no failure, and trying again could be a second letter.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Protocol

import aiosmtplib

from services.notifications.domain.message import Result
from services.notifications.settings import Settings
from shared.contracts.envelope import Channel


@dataclass(frozen=True)
class Outgoing:
    """A message ready to go. Personal: it lives in memory only, and is never logged (hence no repr).

    `form`: how it is to be made for this reader (large print), as far as whoever prints it can.
    """

    message_id: str
    channel: Channel
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    reply_to: str = ""
    form: str = field(default="", repr=False)


@dataclass(frozen=True)
class Deadline:
    """The last moment to begin writing, on the monotonic clock of this process."""

    at: float

    def passed(self) -> bool:
        """Say whether it is too late."""
        return time.monotonic() >= self.at

    def left(self) -> float:
        """Return the seconds that are left, at least 0."""
        return max(0.0, self.at - time.monotonic())


LATE = Result("not_made", "use-by-passed")


class Provider(Protocol):
    """Somebody who carries messages to people."""

    @property
    def name(self) -> str:
        """The name that appears in events."""

    async def send(self, outgoing: Outgoing, deadline: Deadline) -> Result:
        """Send at most once. Must test the deadline immediately before the content is written."""


@dataclass(frozen=True)
class SmtpProvider:
    """E-mails over SMTP. `tls` True: from the start; None: STARTTLS where offered; False: never."""

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool | None = None
    seconds: float = 20
    name: str = "smtp"

    async def send(self, outgoing: Outgoing, deadline: Deadline) -> Result:
        """Go through the dialogue by hand, because what an error means depends on how far it has come."""
        try:
            content = self._content(outgoing)
        except ValueError:
            return Result("not_made", "address-malformed")
        smtp = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            timeout=self.seconds,
            use_tls=self.tls is True,
            start_tls=None if self.tls is None else False,
            username=self.user or None,
            password=self.password or None,
        )
        try:
            refused = await self._approach(smtp, outgoing, deadline)
            return refused or await self._hand_over(smtp, content)
        finally:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await smtp.quit(timeout=1)
            smtp.close()

    async def _approach(self, smtp: aiosmtplib.SMTP, outgoing: Outgoing, deadline: Deadline) -> Result | None:
        """Come as far as DATA; return why not, if not. Nothing of the message is with anybody: every failure is certain."""
        try:
            async with asyncio.timeout(deadline.left()):
                await smtp.connect()
                await smtp.mail(self.sender)
                await smtp.rcpt(outgoing.to)
        except aiosmtplib.SMTPResponseException as error:
            return Result("not_made", f"smtp-{error.code}")
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            return LATE if deadline.passed() else Result("not_made", "smtp-connection")
        except ValueError:
            # No command can be made of it: an address of letters that this dialogue does not carry.
            return Result("not_made", "address-malformed")
        return LATE if deadline.passed() else None

    async def _hand_over(self, smtp: aiosmtplib.SMTP, content: bytes) -> Result:
        """Write the message. Only an answer makes its fate certain."""
        try:
            await smtp.data(content)
        except aiosmtplib.SMTPDataError as error:
            # The server answered, and did not take it.
            return Result("not_made", f"smtp-{error.code}")
        except TimeoutError:
            # The last dot may have arrived, and its answer not: nobody knows.
            return Result("unknown", "smtp-timeout")
        except (aiosmtplib.SMTPException, OSError):
            return Result("unknown", "smtp-disconnected")
        return Result("sent")

    def _content(self, outgoing: Outgoing) -> bytes:
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = self.sender
        message["To"] = outgoing.to
        if outgoing.reply_to:
            message["Reply-To"] = outgoing.reply_to
        message["Subject"] = outgoing.subject
        message["Message-ID"] = f"<{outgoing.message_id}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(outgoing.text)
        return message.as_bytes()


@dataclass(frozen=True)
class FileProvider:
    """Letters and texts as files for another house to collect: `<folder>/<channel>/<message_id>.txt`, whole or not there."""

    folder: Path
    name: str = "file"

    async def send(self, outgoing: Outgoing, deadline: Deadline) -> Result:
        """Write the file in a thread."""
        return await asyncio.to_thread(self._write, outgoing, deadline)

    def _write(self, outgoing: Outgoing, deadline: Deadline) -> Result:
        folder = self.folder / outgoing.channel
        target = folder / f"{outgoing.message_id}.txt"
        aside = folder / f".{outgoing.message_id}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                form = f"Format: {outgoing.form}\n" if outgoing.form else ""
                file.write(f"{form}To: {outgoing.to}\n\n{outgoing.text}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            aside.unlink(missing_ok=True)
            return Result("not_made", "file-not-written")
        if deadline.passed():
            aside.unlink(missing_ok=True)
            return LATE
        try:
            # The moment of sending: the collector sees whole files only, and a name that is there is never replaced.
            os.link(aside, target)
        except FileExistsError:
            return Result("unknown", "file-exists")
        except OSError:
            return Result("not_made", "file-not-written")
        finally:
            aside.unlink(missing_ok=True)
        return Result("sent")


def mail_provider(settings: Settings) -> SmtpProvider:
    """Return who carries e-mail, to people and to agencies alike."""
    return SmtpProvider(
        settings.smtp_host,
        settings.smtp_port,
        settings.mail_from,
        settings.smtp_user,
        settings.smtp_password.get_secret_value(),
        settings.smtp_tls,
        settings.smtp_seconds,
    )
