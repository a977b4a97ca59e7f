"""The rules of a release, intake's half of redeeming a permit: in three steps, each a decision about facts under lock."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Final, Literal

from services.intake.domain.people import PersonState
from shared.contracts.envelope import Channel, Role

RowState = Literal["asked", "refused", "given_up", "handed_out"]
# From which states a release's row comes to another. A row begins as `asked`, and is asked again only after a refusal that
# said for certain that nothing was redeemed: so at most one try is handed anything.
BEFORE: Final[Mapping[RowState, tuple[RowState, ...]]] = {
    "asked": ("refused",),
    "refused": ("asked",),
    "given_up": ("asked",),
    "handed_out": ("asked",),
}
# Refusals after which the permit may be redeemed all the same: by another try, or by our own first call, still running.
NOT_CERTAIN: Final = frozenset({"already-redeemed", "in-flight"})


def counterparts(parties: Iterable[tuple[str, Role]], people: Container[str]) -> tuple[str, ...]:
    """Return the ids on the other side of these people in a case, given (id, role) of its parties."""
    known = set(parties)
    own = {role for person, role in known if person in people}
    sides: dict[Role, set[Role]] = {"harmed": {"responsible", "both"}, "responsible": {"harmed", "both"}}
    wanted = {other for role in own for other in sides.get(role, {"harmed", "responsible", "both"})}
    return tuple(sorted({person for person, role in known if role in wanted and person not in people}))


def objection(
    people: Mapping[str, PersonState], case: str, *, withdrawn: bool, alone: bool = False
) -> str | None:
    """Return why nothing is released of these ids of those concerned; None if nothing here forbids it.

    What intake alone knows at this moment: `withdrawn` (recorded here, perhaps not yet at consent), erasure, holds; and
    `alone`: nobody on the other side takes part any longer, by what is recorded here.
    """
    if withdrawn or any(state.erased for state in people.values()):
        return "withdrawn"
    if any(hold.case in (None, case) for state in people.values() for hold in state.holds.values()):
        return "on-hold"
    return "counterpart-withdrawn" if alone else None


def unsafe(state: PersonState, channel: Channel | None) -> bool:
    """Say whether this person cannot be contacted by this channel."""
    return state.safety.minor or (channel is not None and channel not in state.safety.channels)


def moved(
    seen: Mapping[str, int], now: Mapping[str, int], group: Iterable[str], *, withdrawn: bool, late: bool
) -> bool:
    """Say whether what the first step found no longer holds, so that nothing may be handed out.

    `seen` are the sequences that it noted, `now` those of the same ids under lock again; `group` is whom they are linked
    with now. `late`: the time in which a contact may begin is over. By then a person at the hub may have closed the attempt,
    and another permit may be granted.
    """
    return withdrawn or late or set(group) != set(seen) or any(now[one] != seen[one] for one in seen)


def after_refusal(kind: str, *, again: bool) -> Literal["refused", "left", "given_up", "taken_back"]:
    """Return what becomes of the row when consent refuses.

    `refused`: nothing was redeemed, the row may be asked again. `left`: another call is under way, and nobody knows. An
    `already-redeemed` was by a call of an earlier try that arrived after its refusal, if there was one (`again`): nobody can
    hand out what the row did not allow, so consent is told (`taken_back`). A row that is new knows of no such try. Perhaps
    this database has forgotten one: then a person finds out (`given_up`).
    """
    if kind not in NOT_CERTAIN:
        return "refused"
    if kind != "already-redeemed":
        return "left"
    return "taken_back" if again else "given_up"
