"""The facts that decisions about contact need: one ledger for each person id, and what is known of each case.

A `PersonState` holds that id's own ledger only. What is true of a human being known under several linked ids is computed
over the ledgers of all of them (see standing.py), so that an unlink has nothing to untangle. All collections are sorted
tuples: states can be compared, hashed and encoded in one way only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from shared.contracts.cases import Limits
from shared.contracts.consent import Answer, Outcome, Standing
from shared.contracts.envelope import Channel, Hours, Purpose, Role, date, datetime
from shared.contracts.people import AgreementFact, Safety
from shared.contracts.states import State, replace

__all__ = [
    "Agreed",
    "Answer",
    "Approach",
    "Attempt",
    "CaseState",
    "Channel",
    "Hold",
    "Hours",
    "Lead",
    "Limits",
    "Link",
    "Outcome",
    "Part",
    "Pause",
    "Permit",
    "PersonState",
    "Purpose",
    "Role",
    "Safety",
    "Shared",
    "Standing",
    "add",
    "drop",
    "find",
    "put",
    "replace",
]


class Hold(State, frozen=True):
    """A pause with a reason, until someone lifts it. `until` is a review date only. `case` None: for every case."""

    id: str
    reason: str
    until: datetime | None = None
    case: str | None = None


class Link(State, frozen=True):
    """What intake has decided about this id and another: one human (`holds`), or not. Kept after an unlink, for its number.

    Both keys tell of each decision, and either suffices. A copy whose number is not higher than this one's changes nothing.
    """

    id: str
    number: int = 0
    holds: bool = True


class Agreed(State, frozen=True):
    """An agreement on record. `id` is the case, or "" for one that is not about a single case."""

    id: str
    fact: AgreementFact


class Part(State, frozen=True):
    """What this id is in one case. `id` is the case.

    `limits` are set on the party's own ledger when its checks are answered. `closed` is the person's own no, as a reason.
    `over`: the case is closed, or this id has left it. `into`: it goes on as that one, or that one came out of it. `heard`
    are the answers given to referrers that have been taken in. `feedback`: asked once.
    """

    id: str
    incident: str = ""
    role: Role = "contact"
    speaks_for: tuple[str, ...] = ()
    contact_persons: tuple[str, ...] = ()
    limits: Limits | None = None
    closed: str | None = None
    over: bool = False
    into: str | None = None
    heard: tuple[str, ...] = ()
    feedback: bool = False


class Lead(State, frozen=True):
    """A tenure: the one agency that can be given permits. `covers`: the (case, party) pairs that it was claimed for."""

    tenure: int
    agency: str
    worker: str | None
    claim: str
    claimed_at: datetime
    covers: tuple[tuple[str, str], ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """The cases that it covers."""
        return tuple(sorted({case for case, _ in self.covers}))


class Permit(State, frozen=True):
    """A permit granted or redeemed. After redemption only a recorded outcome ends it."""

    id: str
    fence: int
    case: str
    party: str
    agency: str
    worker: str | None
    purpose: Purpose
    channel: Channel
    expires: datetime
    redeemed: bool = False
    use_by: datetime | None = None
    outcome_due: datetime | None = None
    overdue: bool = False
    sender: str | None = None


class Attempt(State, frozen=True):
    """One call, letter, message or visit that was, or may have been, made. `id` is its permit's. `at`: its redemption.

    `use_by`: it was found after a restore, and its holder, who may make it until then, has not said what became of it.
    """

    id: str
    agency: str
    case: str
    at: datetime
    outcome: Outcome | None = None
    use_by: datetime | None = None


class Approach(State, frozen=True):
    """Uninvited contact, with all its attempts. `id` is its first permit's; the same id on a linked ledger continues it.

    `answer` None: not reached yet. "not_now" leaves it open for the call-back. `agency`: whose approach it is now.
    """

    id: str
    agency: str
    started_at: datetime
    incidents: tuple[str, ...]
    attempts: tuple[Attempt, ...] = ()
    answer: Answer | None = None
    answered_at: datetime | None = None


class Shared(State, frozen=True):
    """An attempt, by its permit as `id`, from before links were undone: it may have reached any of these ids."""

    id: str
    others: tuple[str, ...]


class PersonState(State, frozen=True):
    """One id's own ledger. `closed` (withdrew from everything, erased) spares the cases in `exceptions`, asked for since.

    `known`: intake has told of this person. `lead` and what follows belong to whoever is spoken to. `suspended`: a lead
    that ended only because a link showed another; an unlink gives it back. `fence` and `tenures` count up. `unresolved`:
    attempts that a person has to look into before anything else happens. `claims` have been decided, as "claim:party".
    `shared`: see Shared. `agencies`: those that may know of this person; `led`: those that led and do so no longer.
    """

    known: bool = False
    safety: Safety = Safety()
    parts: tuple[Part, ...] = ()
    links: tuple[Link, ...] = ()
    holds: tuple[Hold, ...] = ()
    closed: str | None = None
    exceptions: tuple[str, ...] = ()
    not_before: date | None = None
    agreements: tuple[Agreed, ...] = ()
    claims: tuple[str, ...] = ()
    lead: Lead | None = None
    suspended: Lead | None = None
    tenures: int = 0
    fence: int = 0
    permit: Permit | None = None
    approaches: tuple[Approach, ...] = ()
    unresolved: tuple[str, ...] = ()
    shared: tuple[Shared, ...] = ()
    blocked: tuple[Channel, ...] = ()
    agencies: tuple[str, ...] = ()
    led: tuple[str, ...] = ()
    double_reach: tuple[str, ...] = ()


class Pause(State, frozen=True):
    """A pause of one case."""

    id: str
    reason: str
    until: datetime | None = None


class Member(State, frozen=True):
    """A person of a case, as a party or as somebody spoken to for one. `left`: no referral names them in it any more."""

    id: str
    role: Role
    left: bool = False


class CaseState(State, frozen=True):
    """What consent knows of one case: who is in it, and whether it is paused or over. Restricts; never permits."""

    members: tuple[Member, ...] = ()
    pauses: tuple[Pause, ...] = ()
    closed: str | None = None


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Identified)
Word = TypeVar("Word", bound="str | tuple[str, str]")


def find(items: tuple[T, ...], key: str) -> T | None:
    """Return the item of this id."""
    for item in items:
        if item.id == key:
            return item
    return None


def put(items: tuple[T, ...], item: T) -> tuple[T, ...]:
    """Return the items, sorted, with this one in the place of the one with its id."""
    key = item.id
    for n, other in enumerate(items):
        if other.id >= key:
            return (*items[:n], item, *items[n + (other.id == key) :])
    return (*items, item)


def drop(items: tuple[T, ...], key: str) -> tuple[T, ...]:
    """Return the items without the one of this id."""
    return tuple(item for item in items if item.id != key)


def add(words: tuple[Word, ...], more: Iterable[Word]) -> tuple[Word, ...]:
    """Return the words with these, sorted, each once."""
    new = set(more).difference(words)
    return tuple(sorted((*words, *new))) if new else words
