"""What is checked: the configurations, each with small bounds and full ones, and the wrong variants.

One specification serves all: a configuration chooses which parts of the protocol may happen and how much of each, a
wrong variant ("mutant") switches one rule off. Nothing is copied, so nothing can drift.
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
        "N8_no_answer_is_a_no",
    ),
}
LIVENESS = {
    "Contact": ("N9_withdrawals_come_into_force", "N9_all_agree", "N9_no_attempt_stays_open"),
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


@dataclass(frozen=True)
class Mutant:
    """One rule switched off; it must violate `breaks` in the small bounds of `where`."""

    name: str
    rule: str
    where: str
    breaks: str
    override: Mapping[str, str] = field(default_factory=dict)


def text(
    configuration: Configuration, size: str, mutant: Mutant | None = None, *, spec: str | None = None
) -> str:
    """The TLC configuration file of one run."""
    constants = configuration.constants(size)
    module = configuration.module
    checked = (*INVARIANTS[module], *STEPS[module]) if not configuration.live else LIVENESS[module]
    if mutant is not None:
        constants |= mutant.override
        checked = (mutant.breaks,)
    constants["Mutations"] = names(*([mutant.name] if mutant else []))
    constants["Story"] = "TRUE" if mutant else "FALSE"
    live = configuration.live or any(name in LIVENESS[module] for name in checked)
    lines = [f"SPECIFICATION {spec or ('LiveSpec' if live else 'Spec')}", "CONSTANTS"]
    lines += [f"  {name} = {value}" for name, value in sorted(constants.items())]
    invariants = [name for name in checked if name in INVARIANTS[module]]
    properties = [name for name in checked if name not in INVARIANTS[module]]
    lines += [f"INVARIANT {name}" for name in invariants] + [f"PROPERTY {name}" for name in properties]
    if mutant:
        lines.append("VIEW seen")  # the sentence of a step is no part of the state's identity
    return "\n".join(lines) + "\n"


def _contact(**constants: str) -> dict[str, str]:
    return {**CONTACT, **constants}


CONFIGURATIONS = (
    Configuration(
        "identity",
        "two records of one human, whose blocking keys meet or whose link comes late; linked, unlinked, linked again",
        _contact(Features=names("link", "unlink"), MaxLinks="2"),
        small={"MaxPermits": "1"},
        full={"MaxLinks": "3"},
    ),
    Configuration(
        "matcher",
        "the race of two referrals of one human",
        _contact(Features=names("unlink", "hold"), KeysMeet="TRUE", MaxLinks="1"),
        full={"MaxLinks": "2"},
    ),
    Configuration(
        "release",
        "the three steps, lost answers, crashes of intake and of the sender, a late link",
        _contact(Features=names("link", "lost", "crash"), MaxLinks="1"),
        small={"MaxLog": "2", "Limit": "1"},
    ),
    Configuration(
        "withdrawal",
        "withdrawals at any moment, with a link and an unlink that consent has not heard of",
        _contact(Features=names("link", "unlink", "withdraw"), MaxLinks="2"),
        small={"MaxPermits": "1"},
    ),
    Configuration(
        "parked",
        "events of consent's that cannot be handled, with holds, links and unlinks behind them",
        _contact(Features=names("link", "unlink", "hold", "park"), MaxLinks="2", MaxLog="4"),
        small={"MaxPermits": "1", "MaxLog": "3"},
    ),
    Configuration(
        "handover",
        "leads handed over and given back, with a link",
        _contact(Features=names("link", "handover", "endlead"), MaxLinks="1"),
        small={"MaxLinks": "0"},
    ),
    Configuration(
        "succession",
        "agency A is succeeded by S, with a link",
        _contact(Agencies=names("A", "B", "S"), Features=names("link", "succeed"), MaxLinks="1"),
        small={"MaxLinks": "0"},
    ),
    Configuration(
        "restore",
        "consent's database restored from before a withdrawal, with a link",
        _contact(Features=names("link", "withdraw", "restore"), MaxLinks="1"),
        small={"MaxPermits": "1", "MaxLinks": "0"},
    ),
    Configuration(
        "erasure",
        "erased, and referred again",
        _contact(Features=names("erase", "withdraw"), KeysMeet="TRUE"),
    ),
    Configuration(
        "telephone",
        "two records that nobody has linked, with one telephone",
        _contact(Features=names("withdraw", "link"), OnePhone="TRUE", MaxLinks="1"),
        small={"MaxLinks": "0"},
    ),
    Configuration(
        "convergence",
        "everything that was parked, lost or delayed comes right once faults stop",
        _contact(
            Features=names("link", "unlink", "withdraw", "park", "crash", "lost"),
            MaxPermits="1",
            MaxLinks="1",
        ),
        small={"Agencies": names("A"), "MaxLog": "2"},
        live=True,
    ),
    Configuration(
        "convergence-restore",
        "the same, with consent's database restored from a back-up",
        _contact(Features=names("link", "withdraw", "restore"), MaxPermits="1", MaxLinks="1"),
        small={"Agencies": names("A"), "MaxLog": "2"},
        live=True,
    ),
)
