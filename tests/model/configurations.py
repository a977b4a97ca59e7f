"""What is checked: the configurations, each with small bounds and full ones.

One specification serves all: a configuration chooses which parts of the protocol may happen and how much of each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

INVARIANTS = {
    "Contact": (
        "N3_once",
        "N4_nothing_lost",
        "N5_unknown_is_never_retried",
        "N6_granted_is_still_allowed",
        "N7_one_lead",
    ),
    "Locking": ("N1_one_permit_per_group", "N9_no_deadlock"),
    "Matching": ("N1_records_of_one_human_meet", "N2_erased_is_never_forgotten", "N9_no_deadlock"),
    "Delivery": ("N4_each_once_in_order",),
}
STEPS = {
    "Contact": (
        "N1_no_second_approach",
        "N2_nothing_after_withdrawal",
        "N3_redeemed_once",
        "N4_stored_stays",
        "N5_unknown_blocks",
        "N6_links_never_loosen",
        "N6_delivered_is_in_force",
        "N7_handed_over_at_rest",
        "N8_no_answer_is_a_no",
    ),
    "Locking": (),
    "Matching": (),
    "Delivery": (),
}
LIVENESS = {
    "Contact": ("N9_withdrawals_come_into_force", "N9_all_agree", "N9_no_attempt_stays_open"),
    "Locking": (),
    "Matching": (),
    "Delivery": ("N9_all_arrives",),
}


def names(*values: str) -> str:
    """A TLA+ set of strings."""
    return "{" + ", ".join(f'"{value}"' for value in values) + "}"


CONTACT = {
    "Agencies": names("A", "B"),
    "MaxPermits": "2",
    "MaxLinks": "0",
    "MaxLog": "4",
    "Limit": "2",
    "KeysMeet": "FALSE",
    "OnePhone": "FALSE",
    "Features": names(),
}


@dataclass(frozen=True)
class Configuration:
    """One focused question. `small` and `full` are constants that override `base`."""

    name: str
    about: str
    base: Mapping[str, str]
    small: Mapping[str, str] = field(default_factory=dict)
    full: Mapping[str, str] = field(default_factory=dict)
    module: str = "Contact"
    live: bool = False

    def constants(self, size: str) -> dict[str, str]:
        """The bounds of one size: `small` or `full`."""
        return {**self.base, **(self.small if size == "small" else self.full)}


def _contact(**constants: str) -> dict[str, str]:
    return {**CONTACT, **constants}


CONFIGURATIONS = (
    Configuration(
        "identity",
        "two records of one human whose link comes late; linked, unlinked, linked again",
        _contact(Features=names("link", "unlink"), MaxLinks="2"),
        small={"MaxPermits": "1"},
        full={"MaxLinks": "3"},
    ),
    Configuration(
        "matcher",
        "two referrals of one human whose blocking keys meet",
        _contact(Features=names("unlink"), KeysMeet="TRUE", MaxLinks="2"),
        small={"MaxPermits": "1"},
    ),
    Configuration(
        "release",
        "the three steps, lost answers, crashes of intake and of the sender, a late link",
        _contact(Features=names("link", "lost", "crash"), MaxLinks="1", MaxLog="2"),
        small={"MaxPermits": "1"},
    ),
    Configuration(
        "withdrawal",
        "withdrawals at any moment, with a link that consent has not heard of",
        _contact(Agencies=names("A"), Features=names("link", "withdraw"), MaxLinks="1", MaxLog="2"),
        small={"MaxPermits": "1"},
    ),
    Configuration(
        "withdrawal-unlinked",
        "withdrawals of two records that are linked and unlinked again meanwhile",
        _contact(
            Agencies=names("A"),
            Features=names("link", "unlink", "withdraw"),
            MaxPermits="1",
            MaxLinks="2",
            MaxLog="3",
        ),
        small={"MaxLinks": "1", "MaxLog": "2"},
    ),
    Configuration(
        "parked",
        "events that consent cannot handle, with holds and a link behind them",
        _contact(Agencies=names("A"), Features=names("link", "hold", "park"), MaxLinks="1", MaxLog="2"),
        small={"MaxPermits": "1", "MaxLinks": "0", "MaxLog": "2", "Features": names("alone", "hold", "park")},
    ),
    Configuration(
        "parked-unlinked",
        "events that consent cannot handle, with a link and an unlink behind them",
        _contact(
            Agencies=names("A"),
            Features=names("link", "unlink", "hold", "park"),
            MaxPermits="1",
            MaxLinks="2",
            MaxLog="3",
        ),
        small={"MaxLinks": "0", "Features": names("alone", "hold", "park")},
    ),
    Configuration(
        "parked-withdrawn",
        "events that consent cannot handle, with a withdrawal and a link behind them",
        _contact(
            Agencies=names("A"),
            Features=names("link", "park", "withdraw"),
            MaxPermits="1",
            MaxLinks="1",
            MaxLog="2",
        ),
        small={"Features": names("alone", "park", "withdraw")},
    ),
    Configuration(
        "handover",
        "a lead handed over to another agency, with a link",
        _contact(Features=names("link", "handover"), MaxLinks="1", MaxLog="2"),
        small={"MaxLinks": "0", "MaxPermits": "1"},
    ),
    Configuration(
        "returned",
        "cases given back and claimed again, by the same agency or by another, with a link",
        _contact(Features=names("link", "endlead"), MaxLinks="1", MaxLog="2"),
        small={"MaxLinks": "0", "MaxPermits": "1"},
    ),
    Configuration(
        "succession",
        "agency A is succeeded by S, with a link",
        _contact(Agencies=names("A", "B", "S"), Features=names("link", "succeed"), MaxLinks="1", MaxLog="2"),
        small={"MaxPermits": "1"},
    ),
    Configuration(
        "restore",
        "consent's database restored from before a withdrawal and from before a release; all comes right",
        _contact(Agencies=names("A"), Features=names("alone", "withdraw", "restore"), MaxLog="1"),
        small={"MaxPermits": "1"},
        live=True,
    ),
    Configuration(
        "restore-linked",
        "consent's database restored from before a link",
        _contact(
            Agencies=names("A"), Features=names("link", "restore"), MaxPermits="1", MaxLinks="1", MaxLog="2"
        ),
        small={"Features": names("alone", "restore"), "MaxLog": "1"},
    ),
    Configuration(
        "erasure",
        "erased, and referred again: approached by another agency",
        _contact(Features=names("erase"), KeysMeet="TRUE", MaxLog="3"),
        small={"MaxPermits": "1", "Agencies": names("A")},
    ),
    Configuration(
        "erasure-withdrawn",
        "withdrawn, erased, and referred again",
        _contact(Features=names("erase", "withdraw"), KeysMeet="TRUE", MaxPermits="1", MaxLog="3"),
        small={"Agencies": names("A"), "MaxLog": "2"},
    ),
    Configuration(
        "telephone",
        "two records that nobody has linked yet, with one telephone",
        _contact(Features=names("link"), OnePhone="TRUE", MaxLinks="1", MaxLog="2"),
        small={"MaxPermits": "1", "MaxLinks": "0", "MaxLog": "1"},
    ),
    Configuration(
        "telephone-withdrawn",
        "the same, and the person of either withdraws",
        _contact(
            Features=names("withdraw", "link"), OnePhone="TRUE", MaxPermits="1", MaxLinks="1", MaxLog="2"
        ),
        small={"MaxLinks": "0", "MaxLog": "1"},
    ),
    Configuration(
        "convergence",
        "whatever was parked, lost, delayed or killed comes right once faults stop",
        _contact(
            Agencies=names("A"),
            Features=names("alone", "withdraw", "hold", "park", "crash", "lost"),
            MaxPermits="1",
            MaxLog="3",
        ),
        small={"MaxLog": "2"},
        live=True,
    ),
    Configuration(
        "convergence-linked",
        "the same of parked keys and withdrawals of two records that are linked",
        _contact(
            Agencies=names("A"),
            Features=names("link", "withdraw", "park"),
            MaxPermits="0",
            MaxLinks="1",
            MaxLog="2",
        ),
        small={"Features": names("alone", "withdraw", "park")},
        live=True,
    ),
    Configuration(
        "convergence-restore",
        "the same of two linked records and withdrawals, with consent's database restored from a back-up",
        _contact(
            Agencies=names("A"),
            Features=names("link", "withdraw", "restore"),
            MaxPermits="0",
            MaxLinks="1",
            MaxLog="2",
        ),
        small={"Features": names("alone", "withdraw", "restore"), "MaxLog": "1"},
        live=True,
    ),
    Configuration(
        "locking",
        "consent's locks, statement by statement: grants against link decisions",
        {"Grants": "4", "Decisions": "2"},
        full={"Grants": "5", "Decisions": "4"},
        module="Locking",
    ),
    Configuration(
        "matching",
        "intake's locks, statement by statement: referrals of one human against each other and an erasure",
        {"Arrivals": "3", "KeysEach": "2"},
        full={"Arrivals": "5"},
        module="Matching",
    ),
    Configuration(
        "delivery",
        "journal, outbox, topic, inbox: crashes, duplicates, reordering, lost topics and tails",
        {"MaxEvents": "3", "MaxFaults": "2", "MaxTopic": "6"},
        small={"MaxEvents": "2", "MaxTopic": "5"},
        full={"MaxFaults": "3"},
        module="Delivery",
    ),
    Configuration(
        "delivery-arrives",
        "the same: all that was acknowledged is applied in the end",
        {"MaxEvents": "2", "MaxFaults": "2", "MaxTopic": "8"},
        small={"MaxFaults": "1", "MaxTopic": "6"},
        module="Delivery",
        live=True,
    ),
)
