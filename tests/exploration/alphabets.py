"""What may happen in each exploration: several focused alphabets reach deeper than one that has everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from tests.exploration import steps
from tests.exploration.consent import ASKING, name
from tests.exploration.steps import Step
from tests.exploration.world import AGENCIES, RECORDS, World

MINUTES, A_WHILE, TWO_DAYS, A_SEASON = 10, 40, 2 * 24 * 60, 100 * 24 * 60


@dataclass(frozen=True)
class Alphabet:
    """One exploration. `begun`: both records are referred, told and claimed (a by X, b by Y) before it begins."""

    name: str
    kinds: frozenset[str]
    permits: int = 2
    links: int = 2
    ticks: int = 2
    attempts: int = 2
    begun: bool = True
    one_incident: bool = True
    records: tuple[str, ...] = RECORDS
    agencies: tuple[str, ...] = AGENCIES
    depth: int = 40
    small: int = 7
    """How many steps deep the small exploration of the test run goes."""


def _each(  # noqa: C901, PLR0912 - one arm for each kind
    kind: str, of: Alphabet
) -> Iterator[tuple[str, str, partial[World | None]]]:
    """Yield (sentence, parts read, function) for each step of a kind that is about records or about nothing."""
    records = [(RECORDS.index(r), r) for r in of.records]
    match kind:
        case "refer":
            for n, r in records:
                yield f"A referral names record {r}", "i", partial(steps.refer, record=n)
        case "link":
            yield "Intake finds that a and b are one human: linked", "i", partial(steps.link)
            yield "A person at the hub finds that they are two: unlinked", "i", partial(steps.unlink)
        case "hold":
            for n, r in records:
                yield f"Intake doubts who {r} is: held", "i", partial(steps.hold, record=n)
                yield f"The doubt about {r} is settled", "i", partial(steps.lift, record=n)
        case "erase":
            for n, r in records:
                yield f"Record {r} is erased", "i", partial(steps.erase, record=n)
        case "withdraw":
            for n, r in records:
                yield f"The person of {r} withdraws; intake stores it", "i", partial(steps.withdraw, record=n)
                yield f"Consent answers the withdrawal of {r}", "icw", partial(steps.put_in_force, record=n)
        case "apply":
            for n, r in records:
                yield f"Consent applies the next event about {r}", "ic", partial(steps.apply, record=n)
        case "park":
            for n, r in records:
                yield (
                    f"Consent cannot handle the next event about {r}: parked",
                    "ic",
                    partial(steps.park, record=n),
                )
                yield f"An event arrives behind the parked one of {r}", "ic", partial(steps.arrive, record=n)
                yield f"An operator redrives the parked key {r}", "c", partial(steps.redrive, record=n)
        case "claim":
            for n, r in records:
                for agency in of.agencies:
                    yield (
                        f"Allocation claims {r} for agency {agency}",
                        "ic",
                        partial(steps.claim, record=n, agency=agency),
                    )
        case "reassign":
            for n, r in records:
                yield f"Allocation takes back the lead of {r}", "c", partial(steps.reassign, record=n)
        case "hand_over":
            for n, r in records:
                for agency in of.agencies:
                    says = f"The lead of {r} is handed over to agency {agency}"
                    yield says, "kcw", partial(steps.hand_over, record=n, target=agency)
        case "succeed":
            yield "Agency X is succeeded by agency Z", "cw", partial(steps.succeed)
            for n, r in records:
                yield (
                    f"The succession is written down for {r}",
                    "kc",
                    partial(steps.write_succession, record=n),
                )
        case "minutes":
            yield "Ten minutes pass", "k", partial(steps.pass_time, minutes=MINUTES)
        case "time":
            yield "Forty minutes pass", "k", partial(steps.pass_time, minutes=A_WHILE)
        case "days":
            yield "Two days pass", "k", partial(steps.pass_time, minutes=TWO_DAYS)
        case "season":
            yield "A hundred days pass", "k", partial(steps.pass_time, minutes=A_SEASON)


def _of_permit(kind: str, n: int) -> Iterator[tuple[str, str, partial[World | None]]]:
    p = name(n)
    match kind:
        case "release":
            yield (
                f"The holder presents {p} to intake, which notes its sequences",
                "kirw",
                partial(steps.note, permit=n),
            )
            yield f"Consent answers intake about {p}", "krcw", partial(steps.redeem, permit=n, lost=False)
            yield f"Intake looks again before it hands out {p}", "kirw", partial(steps.hand_out, permit=n)
            yield (
                f"Intake tells consent that nothing was handed out for {p}",
                "krcw",
                partial(steps.tell_not_made, permit=n),
            )
        case "crash":
            yield f"Intake is killed while it waits for consent about {p}", "r", partial(steps.die, permit=n)
            yield (
                f"Consent hears of {p}, and its answer is lost",
                "krcw",
                partial(steps.redeem, permit=n, lost=True),
            )
            yield (
                f"Intake gives up the release of {p} that nobody ended",
                "kr",
                partial(steps.give_up, permit=n),
            )
        case "contact":
            yield f"THE HOLDER OF {p} CONTACTS THE PERSON", "kw", partial(steps.contact, permit=n)
        case "expiry":
            yield f"The timer of {p} fires", "kcw", partial(steps.expire, permit=n)
        case "overdue":
            yield f"The outcome of {p} is overdue", "kcw", partial(steps.overdue, permit=n)
            yield f"A person at the hub resolves {p}: no answer", "kcw", partial(steps.resolve, permit=n)
        case _ if kind.startswith("said:"):
            outcome = kind.removeprefix("said:")
            yield (
                f"The holder of {p} reports: {outcome}",
                "kcw",
                partial(steps.report, permit=n, outcome=outcome),
            )


def steps_of(alphabet: Alphabet) -> list[Step]:
    """Return every step of an alphabet."""
    found = []
    for kind in sorted(alphabet.kinds):
        found += list(_each(kind, alphabet))
        for n in range(alphabet.permits):
            found += list(_of_permit(kind, n))
        if kind == "grant":
            asking = ASKING if "succeed" in alphabet.kinds else alphabet.agencies
            for agency in asking:
                for r in alphabet.records:
                    n = RECORDS.index(r)
                    says = f"Agency {agency} asks for a permit for {r}, and gets it"
                    found.append((says, "kcw", partial(steps.grant, agency=agency, record=n)))
    return [Step(*one) for one in found]


CORE = frozenset({"apply", "grant", "release", "contact"})
SAID = frozenset({"said:no_answer", "said:unknown", "said:not_made", "said:declined"})
ALPHABETS = (
    Alphabet("identity", CORE | {"refer", "link", "claim", "said:no_answer"}, begun=False, ticks=0, small=9),
    Alphabet(
        "linking",
        CORE | {"link", "expiry", "time", "said:no_answer", "said:declined"},
        links=3,
        ticks=1,
        small=7,
    ),
    Alphabet("withdrawing", CORE | {"link", "withdraw", "said:declined", "said:withdrew"}, ticks=0, small=7),
    Alphabet(
        "releasing",
        CORE | SAID | {"crash", "minutes", "time", "days", "expiry", "overdue"},
        permits=3,
        ticks=4,
        records=("a",),
        agencies=("X",),
        small=8,
    ),
    Alphabet(
        "withdrawn meanwhile",
        CORE | SAID | {"crash", "time", "expiry", "overdue", "withdraw"},
        permits=2,
        ticks=2,
        records=("a",),
        agencies=("X",),
        small=8,
    ),
    Alphabet("holding", CORE | {"link", "hold", "erase", "park"}, links=2, ticks=0, small=6),
    Alphabet(
        "leading",
        CORE | {"claim", "link", "hand_over", "succeed", "reassign", "said:no_answer"},
        links=1,
        ticks=0,
        small=6,
    ),
    Alphabet(
        "gaps",
        CORE | {"link", "season", "overdue", "said:no_answer", "said:declined"},
        links=1,
        ticks=2,
        attempts=1,
        one_incident=False,
        agencies=("X",),
        small=8,
    ),
)
