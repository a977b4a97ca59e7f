"""Two small services on the real runtime, for tests of the runtime itself.

The teller owns the topic `agencies`; the listener consumes it, writes one row for each event that it applied, and owns the
topic `consent`.
"""

from dataclasses import dataclass
from pathlib import Path

from shared.contracts.agencies import AgencyChanged, AgencySucceeded
from shared.contracts.consent import ConsentWithdrawn, LeadAssigned
from shared.contracts.envelope import Actor, Envelope, Payload
from shared.runtime.handlers import Handlers
from shared.runtime.service import Service
from shared.runtime.settings import RuntimeSettings
from shared.runtime.stream import Ref, Stream
from shared.runtime.work import Connection, Work

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class Count:
    """How many events a key has had."""

    events: int = 0
    name: str = ""
    withdrawn: bool = False


def evolve(state: Count, payload: Payload) -> Count:
    match payload:
        case AgencyChanged():
            return Count(state.events + 1, payload.name, state.withdrawn)
        case ConsentWithdrawn():
            return Count(state.events + 1, state.name, withdrawn=True)
        case _:
            return Count(state.events + 1, state.name, state.withdrawn)


AGENCY = Stream("agency", "agencies", Count, evolve)
PERSON = Stream("person", "consent", Count, evolve)


def teller(settings: RuntimeSettings) -> Service:
    return Service(
        name="allocation", settings=settings, streams=[AGENCY], handlers=Handlers(), migrations=MIGRATIONS
    )


async def tell(service: Service, key: str, name: str = "a name", command_id: str | None = None) -> None:
    """Record one AgencyChanged."""

    async def body(work: Work) -> None:
        await work.lock((AGENCY, key))
        work.record(AGENCY, key, AgencyChanged(name=name, kind="provider"))

    await service.transact(body, actor=Actor("a-test"), command_id=command_id)


async def write_effects(connection: Connection, rows: list[tuple[str, int, str]]) -> None:
    await connection.executemany("INSERT INTO effect (key, sequence, name) VALUES ($1, $2, $3)", rows)


def subject(e: Envelope) -> list[Ref]:
    return [(PERSON, e.subject)]


class Poison(Exception):
    """What a handler raises in a test."""


class Listener:
    """The listener's handlers; `poison` holds names at which they fail."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        self.handlers = Handlers()
        self.handlers.event(AgencyChanged, locks=subject)(self.changed)
        self.handlers.event(AgencySucceeded, locks=subject)(self.succeeded)

    async def changed(self, work: Work, e: Envelope[AgencyChanged]) -> None:
        if e.data.name in self.poison:
            raise Poison
        work.write(write_effects, (e.subject, e.sequence, e.data.name))
        work.record(
            PERSON,
            e.subject,
            LeadAssigned(claim="c", case="k", party="p", agency=e.data.name, tenure=e.sequence),
        )

    async def succeeded(self, work: Work, e: Envelope[AgencySucceeded]) -> None:
        work.write(write_effects, (e.subject, e.sequence, "succeeded"))

    def service(self, settings: RuntimeSettings) -> Service:
        return Service(
            name="consent",
            settings=settings,
            streams=[PERSON],
            consumes=["agencies"],
            handlers=self.handlers,
            migrations=MIGRATIONS,
        )
