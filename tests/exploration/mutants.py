"""The wrong variants: one rule of the real source switched off at a time. Each must be found, with the promise named.

Many have the names of the model's (tests/model/mutants.py), because they are the same mistake, made in the code.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.exploration.rules import Patch


@dataclass(frozen=True)
class Mutant:
    """One rule switched off: `where` is the alphabet in which it must be found, `breaks` the promise it breaks first."""

    name: str
    rule: str
    where: str
    breaks: str
    patches: tuple[Patch, ...]


def _one(name: str, rule: str, where: str, breaks: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name, rule, where, breaks, (Patch(module, old, new),))


PERMITS, CONTACT, PEOPLE = "consent.domain.permits", "consent.domain.contact", "consent.domain.people"
CHOICES, OUTCOMES, LEADS = "consent.domain.choices", "consent.domain.outcomes", "consent.domain.leads"
EVOLVE, TAKING_IN, APPROACH = "consent.domain.evolve", "consent.domain.taking_in", "consent.domain.approach"
DECISION, RELEASES = "consent.domain.decision", "intake.domain.releases"

MUTANTS = (
    _one(
        "no_causal_token", "consent refuses until it has applied the sequences that intake noted", "identity", "N5",
        PERMITS, "    if command.behind:\n", "    if False:\n",
    ),
    _one(
        "no_third_step", "intake looks again before it hands anything out", "withdrawing", "N2",
        RELEASES, "    return withdrawn or late or set", "    return False and set",
    ),
    _one(
        "late_hand_out", "nothing is handed out when the time for a contact is over", "releasing", "N8",
        RELEASES, "    return withdrawn or late or set", "    return withdrawn or set",
    ),
    Mutant(
        "recorded_withdrawal_does_not_bind", "a recorded withdrawal refuses releases before it is in force",
        "withdrawing", "N2",
        (
            Patch(RELEASES, "    if withdrawn or any(", "    if any("),
            Patch(RELEASES, "    return withdrawn or late or set", "    return late or set"),
        ),
    ),
    _one(
        "replayed_release", "a row that was handed out is never asked again", "releasing", "N4",
        RELEASES, '    "asked": ("refused",),', '    "asked": ("refused", "handed_out"),',
    ),
    _one(
        "handed_out_after_giving_up", "a try that finds its row given up hands nothing out", "releasing", "N8",
        RELEASES, '    "handed_out": ("asked",),', '    "handed_out": ("asked", "given_up"),',
    ),
    Mutant(
        "redeemed_twice", "a permit is redeemed once (with the row that would hide it asked twice)", "withdrawing", "N3",
        (
            Patch(RELEASES, '    "asked": ("refused",),', '    "asked": ("refused", "handed_out"),'),
            Patch(
                PERMITS, '    if permit.redeemed:\n        return d.refuse("already_redeemed")\n    if context.now',
                "    if context.now",
            ),
        ),
    ),
    _one(
        "expiry_frees_redeemed", "expiry frees no redeemed permit", "releasing", "N8",
        PERMITS, "live.id == permit and not live.redeemed and context.now >= live.expires",
        "live.id == permit and context.now >= live.expires",
    ),
    _one(
        "revoking_frees_redeemed", "a redeemed permit ends by its outcome alone", "withdrawing", "N6",
        DECISION, "permit is not None and not permit.redeemed and (", "permit is not None and (",
    ),
    _one(
        "clean_while_in_flight", "clean means that nothing is in flight", "withdrawing", "N2",
        CHOICES, "and permit.redeemed and _concerns", "and False and _concerns",
    ),
    _one(
        "withdrawal_on_one_ledger", "a withdrawal is written on every ledger of the human", "withdrawing", "N4",
        CHOICES, "    for key in bound:\n        event", "    for key in bound[:1]:\n        event",
    ),
    _one(
        "withdrawal_leaves_permits", "a withdrawal revokes what was granted", "withdrawing", "N6",
        CHOICES, '            d.revoke((key,), "withdrawn")', "            pass",
    ),
    _one(
        "no_on_one_ledger", "a no that is said while two ids are linked is written on both ledgers", "linking", "N6",
        OUTCOMES, "{(key, case) for key in ids for case in cases}", "{(given.person, case) for case in cases}",
    ),
    _one(
        "link_without_revoking", "a link revokes what was granted to both", "linking", "N7",
        PEOPLE, '    d.revoke(d.group(person), "linked")\n', "",
    ),
    _one(
        "link_on_one_ledger", "consent applies whichever copy of a link comes first to both", "identity", "N7",
        PEOPLE, "    d.note(other, Linked(person, number))\n", "",
    ),
    _one(
        "link_without_settling", "of two leads a link leaves one", "linking", "N7",
        PEOPLE, "    if not led_twice(d, ids, context):\n", "    if True:\n",
    ),
    _one(
        "strictest_of_one", "the strictest of all linked ledgers counts", "withdrawing", "N6",
        CONTACT, "standing(d, {*spoken_to, *party}, ask.case)", "standing(d, {ask.spoken_to}, ask.case)",
    ),
    _one(
        "unlink_loosens", "an unlink takes nothing from either ledger", "withdrawing", "N6",
        TAKING_IN, "Link(e.other, e.number, holds=False)))", "Link(e.other, e.number, holds=False)), closed=None)",
    ),
    _one(
        "unlink_leaves_permits", "an unlink revokes what the group was granted", "linking", "N7",
        PEOPLE, '    d.revoke(before, "unlinked")\n', "",
    ),
    _one(
        "unlink_without_number", "link decisions are numbered, and an older one changes nothing", "linking", "N6",
        PEOPLE, "    return known is None or number > known.number", "    return True",
    ),
    _one(
        "two_tenures", "one lead for everyone who is linked", "identity", "N7",
        LEADS, "    lead = own or lead_of(d, ids)\n", "    lead = own\n",
    ),
    _one(
        "handover_in_flight", "a lead is handed over only when nothing is in flight", "leading", "N7",
        LEADS, 'refuse("same_lead")\n    if _in_flight(d, ids):', 'refuse("same_lead")\n    if False:',
    ),
    _one(
        "handover_leaves_permits", "a hand-over revokes what the source was granted", "leading", "N7",
        LEADS, '    d.revoke(ids, "handed_over")\n', "",
    ),
    _one(
        "successor_starts_afresh", "a successor inherits what was done, with the lead", "leading", "N4",
        EVOLVE, "        approaches=approaches,\n        agencies=add(state.agencies, (e.target,)),",
        "        approaches=(),\n        agencies=add(state.agencies, (e.target,)),",
    ),
    _one(
        "attempts_without_end", "no more attempts than the policy allows", "gaps", "N1",
        APPROACH, "attempts >= asked.limits.attempts", "False",
    ),
    _one(
        "no_gap_between_approaches", "a new approach waits for the policy's gap", "gaps", "N1",
        APPROACH, "timedelta(days=asked.limits.approach_gap_days)", "timedelta(0)",
    ),
    _one(
        "same_incident_again", "a new approach needs a separate incident", "gaps", "N1",
        APPROACH, "    if any(asked.incident in a.incidents for a in past) or not asked.incident:", "    if False:",
    ),
    _one(
        "unknown_is_retried", "an outcome that is not known is never followed by a retry", "releasing", "N5",
        CONTACT, "        if state.unresolved:\n", "        if False:\n",
    ),
    _one(
        "granted_while_in_flight", "nothing is granted while an attempt is in flight", "releasing", "N8",
        CONTACT, '        if permit.redeemed:\n            return Refusal("in_flight")\n', "",
    ),
    Mutant(
        "unknown_person_is_granted", "nobody of whom intake has not told gets a permit (nor is a channel known to be safe)",
        "identity", "N8",
        (
            Patch(
                CONTACT, "not (d.person(ask.spoken_to).known and d.person(ask.party).known)\n        or part is None",
                "part is None",
            ),
            Patch(CONTACT, "if not possible or barred or", "if"),
        ),
    ),
    _one(
        "parked_is_granted", "while a key of the group is parked there is no grant", "holding", "N8",
        CONTACT, '    if context.parked:\n        return Refusal("parked")\n', "",
    ),
    _one(
        "hold_leaves_permits", "a hold revokes what was granted", "holding", "N6",
        PEOPLE, "    d.revoke(d.group(person), event.reason, case=event.case)\n", "",
    ),
    _one(
        "erasure_leaves_permits", "an erasure revokes what was granted", "holding", "N7",
        PEOPLE, '    d.revoke(d.group(person), "erased")\n', "",
    ),
)  # fmt: skip
