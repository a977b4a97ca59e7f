"""People who ask for themselves: public, unverified until they have replied, and answered alike whatever is known of them.

What they send is sealed and waits. A message to the e-mail address that they gave carries a code; only when that comes
back is it a referral, by the agency `self`. Without an e-mail address the hub confirms it after speaking to them.
Unconfirmed ones are destroyed when their time is over.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from datetime import timedelta
from email.message import EmailMessage
from typing import Any, Final, Literal

import aiosmtplib
import msgspec
from pydantic import Field

from services.intake.core import Intake, intake_of
from services.intake.referral import Address, Email, Name, Needs, Part, Phone, Reference, Short
from shared.contracts.referrals import OffenceClass
from shared.runtime.database import INFRASTRUCTURE
from shared.runtime.errors import Unavailable
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from shared.runtime.work import Work

log = logging.getLogger(__name__)
SELF: Final = "self"
LIFE: Final = timedelta(days=14)
MAIL_TRIES: Final = 5
MESSAGES_A_DAY: Final = 3  # to one mailbox
RETRY_SECONDS: Final = 2.0
_WRITTEN: Final = """
SELECT count(*) FROM self_referral, clock
WHERE mailbox = $1 AND state = 'written' AND received_at > clock_timestamp() + shift - interval '1 day'
"""


class SelfReferral(Part):
    """What somebody says who asks for themselves. Little is required: a name and a way to answer.

    Whatever is taken here is a referral once it is confirmed: no field takes what a referral's would not.
    """

    name: Name
    emails: tuple[Email, ...] = Field(default=(), max_length=3)
    phones: tuple[Phone, ...] = Field(default=(), max_length=3)
    addresses: tuple[Address, ...] = Field(default=(), max_length=3)
    date_of_birth: Short | None = None
    role: Literal["harmed", "responsible"] = "harmed"
    offence_class: OffenceClass = "other"
    crime_reference: Reference | None = None
    force: str | None = Field(default=None, pattern=r"^[0-9]{2}$")
    area: str | None = Field(default=None, pattern=r"^(E23|W15)[0-9]{6}$")
    message: Needs | None = None

    def reachable(self) -> bool:
        """Whether there is any way to answer."""
        return bool(self.emails or self.phones or self.addresses)


async def keep(work: Work, service: Intake, sent: SelfReferral) -> str:
    """Seal what was sent and return its id. What comes later, a message or a referral, is worked off from the row."""
    await work.lock()
    number, code = new_id(), secrets.token_urlsafe(24)
    owner = f"self:{number}"
    key, wrapped = service.keyring.new_key(owner)
    sealed = key.seal(msgspec.json.encode([code, sent.model_dump_json(exclude_none=True)]), owner)
    state = "to_write" if sent.emails else "waits"
    mailbox = service.keyring.tag("contact-point", f"email:{sent.emails[0].address}") if sent.emails else None
    await work.execute(
        """INSERT INTO self_referral (id, code_tag, key, sealed, state, received_at, expires_at, mailbox)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        number, service.keyring.tag("link", code), wrapped, sealed, state, work.now, work.now + LIFE, mailbox,
    )  # fmt: skip
    return number


async def confirm(work: Work, number: str, code_tag: bytes | None) -> bool:
    """The person has replied (with the code), or the hub has spoken to them (None). It becomes a referral next."""
    return bool(
        await work.fetchval(
            """UPDATE self_referral SET state = 'confirmed' WHERE id = $1 AND ($2::bytea IS NULL OR code_tag = $2)
               AND state IN ('to_write', 'waits', 'written') RETURNING true""",
            number,
            code_tag,
        )
    )


def document(number: str, sent: SelfReferral) -> bytes:
    """Return the referral that a confirmed self-referral is."""
    human: dict[str, Any] = {
        "name": sent.name.model_dump(exclude_none=True),
        "emails": [one.model_dump(mode="json") for one in sent.emails],
        "phones": [one.model_dump(mode="json") for one in sent.phones],
        "addresses": [one.model_dump(mode="json", exclude_none=True) for one in sent.addresses],
    }
    if sent.date_of_birth:
        human["date_of_birth"] = sent.date_of_birth
    agreed = {"answer": "yes", "by": SELF}
    parties = [{"role": sent.role, **human, "willing": True, "prior_contact": agreed}]
    if sent.role == "responsible":
        # Somebody was harmed, and nobody has said who: a case needs that party, and nobody is approached for it.
        parties.append({"role": "harmed", "identified": False})
        parties[0]["admitted"] = True
    incident: dict[str, Any] = {"offence_class": sent.offence_class}
    if sent.crime_reference and sent.force:
        incident |= {"reference": sent.crime_reference, "force": sent.force}
    if sent.area:
        incident["area"] = sent.area
    body: dict[str, Any] = {
        "reference": number,
        "incident": incident,
        "parties": parties,
        "stage": "post_sentence" if sent.offence_class != "dispute" else "non_crime",
        "initiated_by": sent.role,
        "prior_contact": "none",
        "lawful_basis": "public_task",
    }
    if sent.message:
        body["notes"] = sent.message
    return msgspec.json.encode(body)


# --------------------------------------------------------------------------------------------------- working them off


async def self_referral_loop(service: Service) -> None:
    """Write to those who are to be asked, make referrals of what was confirmed, destroy what was never confirmed."""
    intake = intake_of(service)
    while True:
        rows = await intake.pool.fetch(
            """SELECT id::text AS id, key, sealed, state, tries, mailbox FROM self_referral
               WHERE (state = 'to_write' AND tries < $1) OR state = 'confirmed' ORDER BY id LIMIT 50""",
            MAIL_TRIES,
        )
        for row in rows:
            try:
                await _work_off(intake, row)
            except (Unavailable, *INFRASTRUCTURE):
                raise
            except Exception as error:  # noqa: BLE001 - one that cannot be worked off must not stop the others
                # Without what it says: that may quote what was sent.
                log.error("a self-referral cannot be worked off", extra={"error": type(error).__name__})  # noqa: TRY400 - see above
        await intake.transact(_expire)
        await asyncio.sleep(RETRY_SECONDS)


async def _work_off(service: Intake, row: Any) -> None:  # noqa: ANN401 - a record
    owner = f"self:{row['id']}"
    opened = service.keyring.unwrap(row["key"], owner).open(row["sealed"], owner)
    code, text = msgspec.json.decode(opened, type=tuple[str, str])
    sent = SelfReferral.model_validate_json(text)
    if row["state"] == "confirmed":
        # The same again if a crash comes between the two: the reference makes it one referral.
        stored = await service.doorstep.post(SELF, document(row["id"], sent))
        await service.transact(_done, row["id"], stored.id)
        return
    # Anybody may ask, in anybody's name: whom they want to plague has a few messages, and the rest waits for the hub.
    if await service.pool.fetchval(_WRITTEN, row["mailbox"]) >= MESSAGES_A_DAY:
        await service.transact(_tried, row["id"], "waits")
        return
    try:
        await _write(service, row["id"], code, sent.emails[0].address)
        state = "written"
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:  # ValueError: no command carries it
        log.warning("a self-referral's message could not be sent", extra={"error": type(error).__name__})
        state = "to_write"
    await service.transact(_tried, row["id"], state)


async def _write(service: Intake, number: str, code: str, address: str) -> None:
    """Ask by e-mail whether it was them. Sent twice after a crash, it does no harm: it is an answer to their own request."""
    base = service.own.public_url or f"http://{service.settings.host}:{service.settings.port}"
    message = EmailMessage()
    message["From"] = service.own.mail_from
    message["To"] = address
    message["Subject"] = "Was it you who asked us?"
    message.set_content(
        "Somebody gave us this e-mail address and asked to be contacted.\n\n"
        f"If it was you, open this page and press the button:\n{base.rstrip('/')}/v1/self-referrals/{number}/{code}\n\n"
        "If it was not, do nothing: what we were told is destroyed after two weeks.\n"
    )
    if not service.own.smtp_host:
        raise aiosmtplib.SMTPException("no mail server is named")
    await aiosmtplib.send(message, hostname=service.own.smtp_host, port=service.own.smtp_port, timeout=10)


async def _tried(work: Work, number: str, state: str) -> None:
    await work.execute(
        "UPDATE self_referral SET state = $2, tries = tries + 1 WHERE id = $1 AND state = 'to_write'",
        number,
        state,
    )


async def _done(work: Work, number: str, referral: str) -> None:
    await work.execute(
        """UPDATE self_referral SET state = 'referred', referral = $2, key = NULL, sealed = NULL, mailbox = NULL
           WHERE id = $1""",
        number,
        referral,
    )


async def _expire(work: Work) -> None:
    await work.lock()
    await work.execute(
        """UPDATE self_referral SET state = 'expired', key = NULL, sealed = NULL, mailbox = NULL
           WHERE expires_at < $1 AND state IN ('to_write', 'waits', 'written')""",
        work.now,
    )
