"""The same hops, rows and events written the usual way, to compare with.

Four services as processes of their own: SQLAlchemy's ORM, one message a transaction (inbox, state, journal, outbox), and
after the commit aiokafka's `send_and_wait` for each event, then the outbox's rows deleted. The handlers are trivial: no
identity, no encryption, no policy, no protocol, no telemetry, and offsets are committed by the client's timer. All of that
makes it cheaper than a real one.

    python -m benchmarks.flow.usual SERVICE DATABASE_URL BROKER PORT
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import BackgroundTasks, Body, FastAPI
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PREFIX = "usual-"
SERVICES = ("intake", "consent", "allocation", "notifications")
CONSUMES = {
    "intake": ("consent", "cases"),
    "consent": ("people", "cases"),
    "allocation": ("referrals", "consent"),
    "notifications": ("consent", "cases"),
}
TOPICS = ("people", "referrals", "consent", "cases")
JSON = dict[str, Any]
Event = tuple[str, str, str, JSON]  # topic, key, type, data
# Entries of the agencies' feeds that the shipped policy for Hertfordshire makes of each.
FED = {"case.allocated": 3, "case.cleared": 4}


class Base(DeclarativeBase):
    """The usual tables."""

    type_annotation_map = {JSON: JSONB}  # noqa: RUF012 - as SQLAlchemy documents it


class Referral(Base):
    """What was posted."""

    __tablename__ = "referral"
    id: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[JSON]


class Party(Base):
    """One party of a referral."""

    __tablename__ = "party"
    id: Mapped[str] = mapped_column(primary_key=True)
    referral: Mapped[str] = mapped_column(index=True)
    data: Mapped[JSON]


class State(Base):
    """One row for each key."""

    __tablename__ = "state"
    key: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    data: Mapped[JSON]


class Inbox(Base):
    """The messages that were handled."""

    __tablename__ = "inbox"
    id: Mapped[str] = mapped_column(primary_key=True)


class Journal(Base):
    """What happened."""

    __tablename__ = "journal"
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event_id: Mapped[str]
    key: Mapped[str] = mapped_column(index=True)
    sequence: Mapped[int]
    type: Mapped[str]
    data: Mapped[JSON]
    at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC).replace(tzinfo=None))


class Outbox(Base):
    """What has not been told yet."""

    __tablename__ = "outbox"
    id: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[JSON]


class Feed(Base):
    """What an agency reads."""

    __tablename__ = "feed"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    agency: Mapped[str]
    case: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str]
    data: Mapped[JSON]


@dataclass
class Message:
    """One event as it was received."""

    id: str
    topic: str
    key: str
    type: str
    data: JSON


Handler = Callable[[AsyncSession, State, Message], list[Event]]


def consent(_session: AsyncSession, _state: State, message: Message) -> list[Event]:
    """Decide a claim: a lead for each party."""
    if message.type != "case.proposed":
        return []
    return [("consent", person, "lead.assigned", message.data) for person in message.data["people"]]


def allocation(_session: AsyncSession, state: State, message: Message) -> list[Event]:
    """Propose; when both parties have a lead, conclude."""
    if message.type == "referral.received":
        return [("cases", message.key, "case.proposed", message.data)]
    state.data = state.data | {"leads": state.data.get("leads", 0) + 1}
    if state.data["leads"] < 2:
        return []
    case = message.data["case"]
    return [("cases", case, kind, message.data) for kind in ("case.allocated", "case.cleared")]


def notifications(session: AsyncSession, _state: State, message: Message) -> list[Event]:
    """Write the feeds."""
    for number in range(FED.get(message.type, 0)):
        session.add(Feed(agency=f"agency-{number}", case=message.key, kind=message.type, data=message.data))
    return []


def intake(_session: AsyncSession, _state: State, _message: Message) -> list[Event]:
    """Take notice."""
    return []


HANDLERS: dict[str, Handler] = {
    "intake": intake,
    "consent": consent,
    "allocation": allocation,
    "notifications": notifications,
}


@dataclass
class Service:
    """One service."""

    name: str
    url: str
    broker: str
    producer: Any = None
    sessions: async_sessionmaker[AsyncSession] = field(init=False)

    async def start(self) -> None:
        """Make the tables, connect."""
        options: Any = {"server_settings": {"search_path": self.name}}
        engine = create_async_engine(
            self.url.replace("postgresql://", "postgresql+asyncpg://"), connect_args=options
        )
        async with engine.begin() as connection:
            await connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.name}")
            await connection.run_sync(Base.metadata.create_all)
        self.sessions = async_sessionmaker(engine, expire_on_commit=False)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.broker, acks="all")
        await self.producer.start()

    async def consume(self) -> None:
        """Handle one message after the other."""
        consumer = AIOKafkaConsumer(
            *(PREFIX + topic for topic in CONSUMES[self.name]),
            bootstrap_servers=self.broker,
            group_id=PREFIX + self.name,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        async for record in consumer:
            sent = json.loads(record.value)
            await self.handle(
                Message(
                    sent["id"],
                    record.topic.removeprefix(PREFIX),
                    record.key.decode(),
                    sent["type"],
                    sent["data"],
                )
            )

    async def handle(self, message: Message) -> None:
        """Handle a message in a transaction, tell what came of it after the commit."""
        async with self.sessions() as session, session.begin():
            if await session.get(Inbox, message.id) is not None:
                return
            session.add(Inbox(id=message.id))
            # Allocation's state is a case's, everybody else's belongs to the key.
            key = message.data["case"] if self.name == "allocation" else message.key
            state = await session.get(State, key, with_for_update=True)
            if state is None:
                state = State(key=key, version=0, data={})
                session.add(state)
            state.version += 1
            told = self.note(session, state, HANDLERS[self.name](session, state, message))
        await self.tell(told)

    @staticmethod
    def note(session: AsyncSession, state: State, events: list[Event]) -> list[JSON]:
        """Write events to journal and outbox."""
        told = []
        for topic, key, kind, data in events:
            sent = {"id": str(uuid.uuid4()), "topic": topic, "key": key, "type": kind, "data": data}
            entry = Journal(event_id=sent["id"], key=key, sequence=state.version, type=kind, data=data)
            session.add_all([entry, Outbox(id=sent["id"], data=sent)])
            told.append(sent)
        return told

    async def tell(self, told: list[JSON]) -> None:
        """Publish, and forget what was acknowledged."""
        for sent in told:
            await self.producer.send_and_wait(
                PREFIX + sent["topic"], json.dumps(sent).encode(), key=sent["key"].encode()
            )
        if told:
            async with self.sessions() as session, session.begin():
                await session.execute(delete(Outbox).where(Outbox.id.in_([sent["id"] for sent in told])))

    async def match(self, referral: str, document: JSON) -> None:
        """Open a case with its people: what intake does after the answer."""
        case, people = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in document["parties"]]
        data = {"case": case, "referral": referral, "people": people, "stage": document["stage"]}
        async with self.sessions() as session, session.begin():
            told = []
            for key in (case, *people):
                state = State(key=key, version=1, data=data)
                session.add(state)
                event = (
                    ("referrals", case, "referral.received", data)
                    if key == case
                    else ("people", key, "person.referred", data)
                )
                told += self.note(session, state, [event])
        await self.tell(told)


def application(service: Service) -> FastAPI:
    """Return intake's API."""
    app = FastAPI()

    @app.post("/v1/referrals", status_code=202)
    async def post(document: Annotated[JSON, Body()], after: BackgroundTasks) -> JSON:
        referral = str(uuid.uuid4())
        async with service.sessions() as session, session.begin():
            session.add(Referral(id=referral, data=document))
            session.add_all(
                [Party(id=str(uuid.uuid4()), referral=referral, data=one) for one in document["parties"]]
            )
        after.add_task(service.match, referral, document)
        return {"referral": referral}

    return app


async def main(name: str, url: str, broker: str, port: str) -> None:
    """Run one service."""
    service = Service(name, url, broker)
    await service.start()
    consuming = asyncio.create_task(service.consume())
    if name == "intake":
        config = uvicorn.Config(application(service), host="127.0.0.1", port=int(port), log_level="warning")
        serving = asyncio.create_task(uvicorn.Server(config).serve())
        await asyncio.wait([serving, consuming], return_when=asyncio.FIRST_COMPLETED)
    await consuming


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
