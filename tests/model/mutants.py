"""The wrong variants: each switches one rule of the specification off, and must fail with the property named beside it.

A variant is a name in the specification's set `Mutations`: nothing is copied, so nothing can drift.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.model.configurations import INVARIANTS, LIVENESS, STEPS, Configuration, names


@dataclass(frozen=True)
class Mutant:
    """One rule switched off; it must violate `breaks` in the small bounds of `where`."""

    name: str
    rule: str
    where: str
    breaks: str
    harm: str = field(kw_only=True)
    """What has happened when its story ends."""
    override: Mapping[str, str] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    """Second walls that would hide it, switched off with it."""


def text(configuration: Configuration, size: str, mutant: Mutant | None = None, *, told: bool = False) -> str:
    """The TLC configuration file of one run. `told`: leave a sentence at each step (a wrong variant always does)."""
    constants = configuration.constants(size)
    module = configuration.module
    checked: tuple[str, ...] = (*INVARIANTS[module], *STEPS[module])
    if configuration.live:
        checked += LIVENESS[module]
    if mutant is not None:
        constants |= mutant.override
        checked = (mutant.breaks,)
    constants["Mutations"] = names(*((mutant.name, *mutant.also) if mutant else ()))
    told = told or mutant is not None
    constants["Story"] = "TRUE" if told else "FALSE"
    lines = [f"SPECIFICATION {'LiveSpec' if configuration.live else 'Spec'}", "CONSTANTS"]
    lines += [f"  {name} = {value}" for name, value in sorted(constants.items())]
    lines += [f"{'INVARIANT' if name in INVARIANTS[module] else 'PROPERTY'} {name}" for name in checked]
    if told:
        lines.append("VIEW seen")  # the sentence of a step is no part of the state's identity
    return "\n".join(lines) + "\n"


_TWO = {"MaxPermits": "2", "Limit": "2"}

MUTANTS = (
    Mutant(
        "no_blocking_lock", "the matcher locks the blocking keys before it looks",
        "matcher", "N1_no_second_approach", _TWO | {"MaxLinks": "1"},
        harm="two agencies have the details of one human, whose records were never compared",
    ),
    Mutant(
        "redeemed_past_intake", "a release is the only way to redeem",
        "release", "N1_no_second_approach", _TWO | {"Features": names("link")},
        harm="two agencies use the details of one human: intake knew, and was not asked",
    ),
    Mutant(
        "no_causal_token", "intake notes its sequences, and consent refuses until it has applied them",
        "identity", "N1_no_second_approach", _TWO | {"MaxLinks": "1"},
        harm="two agencies have the details of one human: consent decided before it had heard of the link",
    ),
    Mutant(
        "no_third_step", "intake looks again before it hands anything out",
        "identity", "N1_no_second_approach", _TWO | {"MaxLinks": "1"},
        harm="two agencies have the details of one human, who became one while consent was asked",
    ),
    Mutant(
        "retry_takes_newer_sequences", "a release is never begun again on an old answer",
        "release", "N1_no_second_approach", _TWO | {"Features": names("link", "lost")},
        harm="two agencies have the details of one human: consent's answer was older than the link",
    ),
    Mutant(
        "link_without_revoking", "a link revokes the unredeemed permits of both",
        "identity", "N1_no_second_approach", _TWO | {"MaxLinks": "1"},
        harm="two agencies have the details of one human, by permits from before the link",
    ),
    Mutant(
        "lead_end_forgets_approach", "an approach outlives the tenure that began it",
        "returned", "N1_no_second_approach", _TWO | {"Features": names("endlead"), "MaxLinks": "0"},
        harm="agency B begins anew with somebody whom agency A has approached",
    ),
    Mutant(
        "contact_point_unclaimed", "a release claims its telephone, e-mail and address",
        "telephone", "N1_no_second_approach", _TWO | {"Features": names()},
        harm="two agencies will ring one telephone",
    ),
    Mutant(
        "suppression_only_of_a_no", "every erasure leaves a suppression, not only that of a no",
        "erasure", "N1_no_second_approach", _TWO | {"Agencies": names("A", "B"), "MaxLog": "2"},
        harm="agency B approaches somebody whom agency A was about to contact: the erasure took the memory of it",
    ),
    Mutant(
        "clean_while_in_flight", "clean means that nothing is in flight",
        "withdrawal", "N2_nothing_after_withdrawal", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="a contact begins after the person was told that none would",
    ),
    Mutant(
        "withdrawal_without_group", "a withdrawal carries everyone whom intake knows to be this human",
        "withdrawal", "N2_nothing_after_withdrawal", {"MaxPermits": "1", "MaxLinks": "1"},
        harm="a contact begins under the other record of the person who withdrew",
    ),
    Mutant(
        "no_on_one_ledger", "a no that is said while two records are linked is written on both ledgers",
        "withdrawal-unlinked", "N2_nothing_after_withdrawal", {"MaxPermits": "1", "MaxLinks": "2", "MaxLog": "3"},
        harm="a contact begins under the other record of the person who withdrew, because a later unlink set it free",
    ),
    Mutant(
        "recorded_withdrawal_does_not_bind", "a recorded withdrawal refuses releases before it is in force",
        "withdrawal", "N2_nothing_after_withdrawal", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="the details of somebody who has withdrawn are handed out",
    ),
    Mutant(
        "no_suppression", "an erasure leaves a suppression",
        "erasure-withdrawn", "N2_nothing_after_withdrawal",
        harm="the details of somebody who has withdrawn are handed out, under a new record",
    ),
    Mutant(
        "use_by_untested", "senders test use_by just before the socket write",
        "withdrawal", "N2_nothing_after_withdrawal", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="a contact begins long after its attempt was closed and the person was told that none would",
    ),
    Mutant(
        "replayed_release", "a release is never replayed",
        "release", "N3_once", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="two workers have the details for one permit",
    ),
    Mutant(
        "restored_is_trusted", "a restored consent starts closed",
        "restore", "N4_nothing_lost", {"MaxLinks": "0"},
        harm="consent has forgotten a withdrawal, and is open",
    ),
    Mutant(
        "releases_not_reconciled", "a restored consent reconciles with intake's releases",
        "restore", "N5_unknown_blocks", _TWO | {"Features": names("alone", "restore")},
        harm="the person is approached again while nobody knows how the first attempt went",
    ),
    Mutant(
        "expiry_frees_redeemed", "expiry frees no redeemed permit",
        "release", "N5_unknown_blocks", _TWO | {"MaxLinks": "0", "Features": names()},
        harm="the person is approached again while nobody knows how the first attempt went",
    ),
    Mutant(
        "unknown_is_retried", "an outcome that is not known is never followed by a retry",
        "release", "N5_unknown_is_never_retried", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="the person is contacted twice under one permit",
    ),
    Mutant(
        "handover_in_flight", "a lead is handed over only when nothing is in flight",
        "handover", "N7_handed_over_at_rest", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="agency A can still contact the person, whom agency B now leads",
    ),
    Mutant(
        "successor_starts_afresh", "a successor inherits what was done, with the lead",
        "succession", "N5_unknown_blocks", _TWO | {"MaxLinks": "0"},
        harm="the successor approaches the person while nobody knows how the first attempt went",
    ),
    Mutant(
        "unlink_loosens", "an unlink takes nothing from either ledger",
        "withdrawal-unlinked", "N6_links_never_loosen", {"MaxPermits": "1", "MaxLinks": "2", "MaxLog": "3"},
        harm="the person's no is gone",
    ),
    Mutant(
        "unlink_without_number", "link decisions are numbered, and an older one changes nothing",
        "identity", "N6_links_never_loosen", {"MaxPermits": "1", "MaxLinks": "2", "MaxLog": "3"},
        harm="the older decision, which a person had taken back, is in force again",
    ),
    Mutant(
        "parked_restriction_waits", "a restriction is applied at once, though its key is parked",
        "parked-withdrawn", "N6_delivered_is_in_force", {"Features": names("link", "park", "withdraw")},
        harm="a permit is granted to contact somebody who said no: consent had been told that the two are one",
    ),
    Mutant(
        "two_tenures", "one lead for everyone who is linked",
        "identity", "N7_one_lead", {"MaxPermits": "1", "MaxLinks": "1"},
        harm="two agencies lead one human",
    ),
    Mutant(
        "unknown_is_granted", "a person of whom intake has not told consent gets no permit",
        "identity", "N8_no_answer_is_a_no", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="a permit is granted for somebody of whom consent knows nothing",
    ),
    Mutant(
        "parked_is_granted", "while a key of the group is parked there is no grant",
        "parked", "N8_no_answer_is_a_no", {"MaxPermits": "1", "MaxLinks": "0"},
        harm="a permit is granted although events about the person wait",
    ),
    Mutant(
        "withdrawal_tried_once", "a timer repeats a withdrawal until it is answered",
        "restore", "N9_withdrawals_come_into_force", {"MaxPermits": "0"},
        harm="the withdrawal never comes into force",
    ),
    Mutant(
        "overdue_is_nobodys", "overdue outcomes go to a person",
        "convergence", "N9_no_attempt_stays_open", {"Features": names("alone", "crash")},
        harm="the attempt stays open for ever, and with it everything that waits for its end",
    ),
    Mutant(
        "offsets_outlive_restore", "after a restore the topics are read again from where the database was",
        "restore", "N9_all_agree", {"MaxPermits": "0", "Features": names("alone", "restore")},
        harm="consent never hears of the person again, and never agrees with intake",
    ),
    Mutant(
        "links_not_read_again", "consent reads the links again after it has the locks",
        "locking", "N1_one_permit_per_group",
        harm="two permits are live for one human",
    ),
    Mutant(
        "own_row_only", "consent locks everyone who is linked",
        "locking", "N1_one_permit_per_group",
        harm="two permits are live for one human",
    ),
    Mutant(
        "locks_in_any_order", "rows are locked in one order",
        "locking", "N9_no_deadlock",
        harm="two transactions wait for each other",
    ),
    Mutant(
        "look_before_lock", "the matcher looks in a new statement, after the lock",
        "matching", "N1_records_of_one_human_meet",
        harm="two records of one human are committed, and neither matcher saw the other",
    ),
    Mutant(
        "erasure_without_lock", "an erasure takes the blocking keys' locks too",
        "matching", "N2_erased_is_never_forgotten",
        harm="a referral saw neither the erased record nor its suppression",
    ),
    Mutant(
        "keys_in_any_order", "blocking keys are locked in order",
        "matching", "N9_no_deadlock",
        harm="two transactions wait for each other",
    ),
    Mutant(
        "jumps_are_applied", "a jump in the sequence waits",
        "delivery", "N4_each_once_in_order",
        harm="event 2 was applied, and event 1 never will be",
    ),
    Mutant(
        "duplicates_are_applied", "a sequence that is not higher is skipped",
        "delivery", "N4_each_once_in_order",
        harm="one event was applied twice",
    ),
    Mutant(
        "outbox_deleted_before_ack", "the outbox forgets only what was acknowledged",
        "delivery-arrives", "N9_all_arrives", also=("lost_tail_not_compared",),
        harm="the event is nowhere but in the journal, and nobody will send it again",
    ),
    Mutant(
        "offset_before_effects", "offsets are committed after the effects",
        "delivery-arrives", "N9_all_arrives",
        harm="the event is never applied: it counts as read",
    ),
    Mutant(
        "gap_not_asked", "a gap is asked of its source",
        "delivery-arrives", "N9_all_arrives", also=("lost_tail_not_compared",),
        harm="event 2 waits for ever for event 1, which the topic has lost",
    ),
    Mutant(
        "buffer_in_memory", "what waits after a jump is kept in the database",
        "delivery-arrives", "N9_all_arrives",
        harm="event 2 is never applied: it counts as read, and what waited died with the consumer",
    ),
    Mutant(
        "topic_id_ignored", "a new topic is read from its beginning",
        "delivery-arrives", "N9_all_arrives",
        harm="event 2 is never applied: it stands in the new topic before where the consumer reads",
    ),
    Mutant(
        "new_topic_not_refilled", "a lost topic is filled again from the journal",
        "delivery-arrives", "N9_all_arrives", also=("lost_tail_not_compared",),
        harm="the events that were told once are nowhere but in the journal",
    ),
    Mutant(
        "lost_tail_not_compared", "journal and topic are compared both ways",
        "delivery-arrives", "N9_all_arrives",
        harm="the event is nowhere but in the journal, and nobody knows that it is missing",
    ),
)  # fmt: skip
