"""The promise, checked on the evidence: each function is one property, named as in tests/support/promise.py."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tests.faults.arena import Arena, Event
from tests.faults.evidence import Evidence
from tests.faults.history import FOLLOWERS, History
from tests.faults.people import Human
from tests.support.promise import Promise, Violation

REACHED = {"agreed", "declined", "not_now", "withdrew"}


def check(arena: Arena, history: History) -> list[Violation]:
    """Check one history's people on everything that is known by now."""
    seen = Evidence(arena)
    humans = list(history.humans)
    return [
        *_everything_converged(history),
        *_chains(seen),
        *_once(seen),
        *_answers_are_true(seen),
        *(v for human in humans for v in _one_human(seen, human, history)),
    ]


def _one_human(seen: Evidence, human: Human, history: History) -> Iterator[Violation]:
    yield from _approaches(seen, human)
    yield from _after_a_no(seen, human, history)
    yield from _journal_after_a_no(seen, human)
    yield from _unknown(seen, human)
    yield from _leads(seen, human)
    yield from _agreement(seen, human)


def _everything_converged(history: History) -> Iterator[Violation]:
    if history.converged_after < 0:
        yield Violation(Promise.N9, "not everything came together in time", history.unsettled[:40])


def _approaches(seen: Evidence, human: Human) -> Iterator[Violation]:
    """N1: one agency, and nobody again who has answered."""
    contacts = sorted((c for c in seen.contacts if c.human == human), key=lambda c: c.at)
    moved = [
        e
        for e in seen.events
        if seen.human_of.get(e.key) == human and e.type.startswith(("lead.handed_over", "lead.ended"))
    ]
    for before, after in pairwise(contacts):
        passed = any(before.at <= e.at - seen.shift <= after.at for e in moved)
        if before.by != after.by and not passed:
            yield Violation(
                Promise.N1,
                f"{human.surname} was contacted for {before.by} and for {after.by}",
                seen.story(human),
            )
        answered = [
            e
            for e in seen.of("attempt.recorded")
            if e.data["permit"] == before.permit and e.data["outcome"] in REACHED
        ]
        if any(e.at - seen.shift < after.at - 1 for e in answered):
            yield Violation(
                Promise.N1, f"{human.surname} had answered, and was contacted again", seen.story(human)
            )


def _after_a_no(seen: Evidence, human: Human, history: History) -> Iterator[Violation]:
    """N2, as the agencies and the person saw it."""
    for told in (*seen.arena.records.of("withdrawal"), *seen.arena.records.of("link")):
        if not seen.is_no_of(told, human) or told.status not in {200, 201, 202}:
            continue
        named = {attempt["permit"] for attempt in told.body.get("in_flight") or ()}
        certain = told.body.get("state") == "in_force"
        for contact in (c for c in seen.contacts if c.human == human and c.at > told.answered_at):
            if certain and contact.permit not in named:
                late = contact.at - told.answered_at
                what = f"{human.surname} was contacted {late:.2f} s after `{told.body.get('outcome')}`"
                yield Violation(Promise.N2, what, seen.story(human))
        for answer in seen.arena.records.of("release"):
            handed_out = answer.status == 200 and answer.asked_at > told.answered_at
            if handed_out and seen.person_of(answer.about) == human:
                yield Violation(
                    Promise.N2, f"details of {human.surname} were handed out after a no", seen.story(human)
                )


def _journal_after_a_no(seen: Evidence, human: Human) -> Iterator[Violation]:
    """N2 and N6, in consent's own order: no redemption after the commit of a withdrawal from everything."""
    for no, event in redeemed_after_a_no(seen, human):
        promise = Promise.N2 if event.key == no.key else Promise.N6
        what = (
            f"a permit for {human.surname} was redeemed {event.at - no.at:.2f} s after the no was committed"
        )
        yield Violation(promise, what, seen.story(human))


def redeemed_after_a_no(seen: Evidence, human: Human) -> Iterator[tuple[Event, Event]]:
    """Return each withdrawal from everything with each redemption that came after it.

    By consent's own order: by its times, whoever was redeemed while its clock was ahead would have been redeemed later.
    """
    for no in seen.of("consent.withdrawn"):
        if seen.human_of.get(no.key) == human and no.data["scope"] == "everything":
            for event in (e for events in seen.redeemed.values() for e in events):
                if seen.human_of.get(event.key) == human and event.position > no.position:
                    yield no, event


def longest_after_a_no(arena: Arena, humans: Iterable[Human]) -> float:
    """Return the longest time from a withdrawal's commit to a later redemption, in seconds: must be 0."""
    seen = Evidence(arena)
    return max(
        (event.at - no.at for human in humans for no, event in redeemed_after_a_no(seen, human)), default=0.0
    )


def _once(seen: Evidence) -> Iterator[Violation]:
    """N3, and the part of N5 that one permit is one contact."""
    handed = Counter(told.about for told in seen.arena.records.of("release") if told.status == 200)
    carried = Counter(contact.permit for contact in seen.contacts if contact.permit)
    redeemed = {permit: len(events) for permit, events in seen.redeemed.items()}
    for promise, times, what in (
        (Promise.N3, redeemed, "was redeemed"),
        (Promise.N3, handed, "was handed out"),
        (Promise.N5, carried, "led to a contact"),
    ):
        for permit, count in times.items():
            if count > 1:
                yield Violation(promise, f"permit {permit} {what} {count} times", _of(seen, permit))
    for permit in carried.keys() - redeemed.keys():
        what = f"a contact was made on permit {permit}, which nobody redeemed"
        yield Violation(Promise.N3, what, _of(seen, permit))


def _of(seen: Evidence, permit: str) -> list[str]:
    human = seen.person_of(permit)
    return seen.story(human) if human else []


def _unknown(seen: Evidence, human: Human) -> Iterator[Violation]:
    """N5: the next attempt only when it is known what became of the last."""
    redeemed = sorted(
        (e for events in seen.redeemed.values() for e in events if seen.human_of.get(e.key) == human),
        key=lambda e: e.position,
    )
    for before, after in pairwise(redeemed):
        permit = before.data["permit"]
        known = [
            e.position
            for e in seen.events
            if e.service == "consent" and e.data.get("permit") == permit
            and ((e.type.startswith("attempt.recorded") and (e.data["outcome"] != "unknown" or e.data.get("resolved")))
                 or (e.type.startswith("permit.ended") and e.data["how"] == "not_made"))
        ]  # fmt: skip
        if not any(position <= after.position for position in known):
            yield Violation(
                Promise.N5,
                f"{human.surname}: another permit redeemed while the last one's outcome was unknown",
                seen.story(human),
            )


def _leads(seen: Evidence, human: Human) -> Iterator[Violation]:
    """N7: of all ids that are known to be this human, in the end one lead; of each id, at any moment one."""
    leads: dict[str, str] = {}
    for event in seen.events:
        if event.service != "consent" or seen.human_of.get(event.key) != human:
            continue
        name = event.type.rpartition(".v")[0]
        if name == "lead.assigned":
            if leads.get(event.key, event.data["agency"]) != event.data["agency"]:
                yield Violation(Promise.N7, f"{human.surname} got a second lead", seen.story(human))
            leads[event.key] = event.data["agency"]
        elif name == "lead.handed_over":
            leads[event.key] = event.data["target"]
        elif name == "lead.ended" and leads.get(event.key) == event.data["agency"]:
            del leads[event.key]
    one_human = [agency for key, agency in leads.items() if len(leads) > 1 and key in seen.linked]
    if len(set(one_human)) > 1:
        yield Violation(
            Promise.N7, f"{human.surname} has the leads {sorted(set(one_human))}", seen.story(human)
        )


def _agreement(seen: Evidence, human: Human) -> Iterator[Violation]:
    """N9: allocation names the lead that consent has, and whoever knew that it led was told of the no."""
    leads: dict[str, str] = {}
    for event in seen.events:
        if event.service != "consent" or seen.human_of.get(event.key) != human:
            continue
        name = event.type.rpartition(".v")[0]
        if name in {"lead.assigned", "lead.handed_over"}:
            leads[event.key] = event.data.get("agency") or event.data["target"]
        elif name == "lead.ended":
            leads.pop(event.key, None)
        elif name == "consent.withdrawn" and leads.get(event.key) in FOLLOWERS:
            agency = leads[event.key]
            # One whose case was closed before it was told that it leads has nothing to be told.
            if seen.heard_of_lead(agency, event.key) and not seen.heard_of_no(agency, human):
                what = f"{agency} led {human.surname}, who said no, and was not told"
                yield Violation(Promise.N9, what, seen.story(human))
    for case, event in seen.allocated.items():
        for party in event.data["parties"]:
            lead = leads.get(party["person"])
            said = party.get("agency")
            if seen.human_of.get(party["person"]) == human and lead and said and said != lead:
                what = f"for {human.surname} allocation names {said} and consent {lead}, case {case}"
                yield Violation(Promise.N9, what, seen.story(human))


def _chains(seen: Evidence) -> Iterator[Violation]:
    """N4: each key's events are one chain without a gap."""
    keys: dict[tuple[str, str, str], list[Event]] = defaultdict(list)
    for event in seen.events:
        keys[event.service, event.topic, event.key].append(event)
    for (service, topic, key), events in keys.items():
        for number, event in enumerate(events, 1):
            previous = events[number - 2].id if number > 1 else None
            if event.sequence != number or event.previous != previous:
                yield Violation(
                    Promise.N4,
                    f"{service}'s history of {topic} {key} breaks at {event.sequence}",
                    _lines(events),
                )
                break


def _lines(events: Iterable[Event]) -> list[str]:
    return [f"#{e.sequence} {e.type} {e.id} after {e.previous}" for e in events]


def _answers_are_true(seen: Evidence) -> Iterator[Violation]:
    """N4 and N8: what was acknowledged is in the journal, and nothing was granted or handed out that is not."""
    outcomes = {e.data["permit"] for e in seen.of("attempt.recorded")}
    ended = {e.data["permit"] for e in seen.of("permit.ended")}
    for told in seen.arena.records.told:
        if told.what == "permit" and told.status == 201 and told.body["permit"] not in seen.granted:
            yield Violation(Promise.N8, f"a permit was answered that consent did not grant: {told.line()}")
        if told.what == "release" and told.status == 200 and told.about not in seen.redeemed:
            yield Violation(
                Promise.N8, f"details were handed out for a permit that was not redeemed: {told.line()}"
            )
        if told.what == "outcome" and told.status == 200 and told.about not in outcomes | ended:
            yield Violation(
                Promise.N4, f"an acknowledged outcome is lost: {told.line()}", _of(seen, told.about)
            )
