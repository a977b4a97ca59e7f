"""What came of the histories: of one, as a worker tells it, and of all together, kept in a file and shown as a table."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.checker import longest_after_a_no
from tests.faults.evidence import Evidence
from tests.faults.history import History
from tests.support.promise import Promise, Violation


@dataclass
class Result:
    """What came of one history. `broken`: each violation's promise and its text. Times in seconds."""

    label: str
    seconds: float = 0.0
    skipped: str = ""
    broke_off: str = ""
    converged_after: float = 0.0
    last: list[str] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    # What the table adds up, by its row.
    counts: dict[str, int] = field(default_factory=dict)
    redeemed_after_no: float = 0.0
    # When its parts ended, in seconds from its beginning.
    parts: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """Tell it in a line."""
        state = self.skipped or self.broke_off or f"agreed after {self.converged_after:4.1f} s"
        broken = f"  {len(self.broken)} BROKEN" if self.broken else ""
        return f"{self.seconds:5.1f} s  {self.label:<48} {state}{broken}"


COUNTED = (
    "referrals acknowledged",
    "joined by the matcher: referrals to a person known",
    "pairs of ids that a reviewer linked",
    "pairs taken apart again",
    "permits granted",
    "contacts, by the provider's log",
    "second approaches refused",
    "withdrawals answered clean",
    "withdrawals answered in flight",
    "withdrawals answered recorded",
)


def count(one: Arena, history: History, found: list[Violation], label: str) -> Result:
    """Count what is new since the last history of this arena."""
    result = Result(
        label, parts=history.parts, converged_after=history.converged_after, last=history.last[:6]
    )
    contacts = one.contacts()
    new_contacts = len(contacts) - one.counted
    one.counted = len(contacts)
    fresh = [e for e in one.journal.values() if e.id not in one.known]
    one.known |= {e.id for e in fresh}
    kinds = [(e.type.rpartition(".v")[0], e.data) for e in fresh]
    answers = {
        told.body["withdrawal"]: told.body
        for told in one.records.of("withdrawal")
        if told.asked_at >= history.began and "withdrawal" in told.body
    }
    numbers = (
        len(history.referrals),
        _joined(one, history),
        sum(kind == "person.linked" for kind, _ in kinds) // 2,
        sum(kind == "person.unlinked" for kind, _ in kinds) // 2,
        sum(kind == "permit.granted" for kind, _ in kinds),
        new_contacts,
        sum(kind == "permit.refused" and bool(data.get("second_approach")) for kind, data in kinds),
        sum(body.get("outcome") == "clean" for body in answers.values()),
        sum(body.get("outcome") == "in_flight" for body in answers.values()),
        sum(body.get("state") != "in_force" for body in answers.values()),
    )
    result.counts = dict(zip(COUNTED, numbers, strict=True))
    result.redeemed_after_no = longest_after_a_no(one, history.humans)
    result.broken = [(violation.promise.name, str(violation)) for violation in found]
    return result


def _joined(one: Arena, history: History) -> int:
    """Return how many referrals of harmed people came to a person whom intake knew from another one."""
    seen = Evidence(one)
    harmed = [human for human in history.humans if human.number in one.partner]
    referred = [(event.key, seen.human_of.get(event.key)) for event in seen.of("person.referred")]
    return sum(
        len(keys) - len(set(keys))
        for human in harmed
        if (keys := [key for key, of in referred if of == human])
    )


@dataclass
class Tally:
    """What came of all histories so far; kept in a file, so that a long run can go on after it was stopped."""

    done: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0))
    seconds: float = 0.0
    slowest: float = 0.0
    redeemed_after_no: float = 0.0
    harm: dict[str, int] = field(default_factory=lambda: {promise.name: 0 for promise in Promise})
    skipped: dict[str, str] = field(default_factory=dict)
    broke_off: list[str] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Tally:
        """Return the tally of a run that was begun before, or a new one."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Keep it; a crash leaves the old one or the new."""
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.replace(path)

    def add(self, result: Result) -> None:
        """Add a history. One that broke off is not done: it is begun anew, and stays in the table."""
        if result.broke_off:
            self.broke_off.append(f"{result.label}: {result.broke_off}")
            return
        self.done.append(result.label)
        if result.skipped:
            self.skipped[result.label] = result.skipped
            return
        for name, number in result.counts.items():
            self.counts[name] = self.counts.get(name, 0) + number
        self.seconds += result.seconds
        self.redeemed_after_no = max(self.redeemed_after_no, result.redeemed_after_no)
        self.slowest = max(self.slowest, result.converged_after)
        for promise, text in result.broken:
            self.harm[promise] += 1
            self.stories.append(f"{result.label}\n{text}")

    def table(self) -> str:
        """Return the table at the end."""
        met = {name for faults in self.done if faults not in self.skipped for name in faults.split(" + ")}
        ran = len(self.done) - len(self.skipped)
        rows: list[tuple[str, object]] = [
            ("histories", ran),
            ("of them with two faults", sum(" + " in faults for faults in self.done)),
            ("kinds of fault", len({name.split()[0] for name in met} - {"nothing"})),
            *self.counts.items(),
            ("longest from a withdrawal's commit to a later redemption, s", self.redeemed_after_no),
            ("longest until everything agreed again, s", round(self.slowest, 1)),
            ("a history took on average, s", round(self.seconds / max(1, ran), 1)),
            *((f"{name} broken", number) for name, number in self.harm.items()),
            *((f"skipped: {name}", why) for name, why in self.skipped.items()),
            *(("broke off, and was begun anew", why) for why in self.broke_off),
        ]
        return "\n".join(f"{what:<62} {value}" for what, value in rows)
