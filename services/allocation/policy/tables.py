"""What people look at before a policy goes live: its check, the explanation of a case, a dry run, a difference.

Pure: tables of words in, tables of words out; the command line and the pages print them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from services.allocation.policy import explanation
from services.allocation.policy.agencies import Agencies
from services.allocation.policy.evaluator import decide
from services.allocation.policy.facts import CaseFacts
from services.allocation.policy.jurisdiction import Policies
from services.allocation.policy.loader import parse
from services.allocation.policy.model import Partnership, Rule
from services.allocation.policy.problems import PolicyErrors
from services.allocation.policy.proposal import Proposal


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of words under columns; `summary` is the sentence to read first."""

    title: str
    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class PastCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case to be decided again: its id, and what was known of it."""

    id: str
    facts: CaseFacts


ASPECTS: Final[Mapping[str, Callable[[Proposal], str]]] = {
    "partnership": lambda proposal: proposal.partnership,
    "lead": lambda proposal: "; ".join(f"{lead.party}: {lead.agency}" for lead in proposal.leads),
    "co-ordinator": lambda proposal: proposal.co_ordinator,
    "delivery": lambda proposal: proposal.deliverer,
    "team": lambda proposal: explanation.outcome(proposal.team),
    "funder": lambda proposal: proposal.funding.payer,
    "checks": lambda proposal: (
        "; ".join(f"{check.kind} of {check.of}" for check in proposal.checks) or "none"
    ),
    "on hold": lambda proposal: "; ".join(hold.reason for hold in proposal.holds) or "no",
    "limits": lambda proposal: "; ".join(
        f"{lead.party}: {explanation.outcome(lead.limits)}" for lead in proposal.leads
    ),
}


def check(files: Mapping[str, str]) -> Table:
    """Whether policy files can go live: every problem with file, line and remedy, or what each partnership has."""
    try:
        policies = parse(files)
    except PolicyErrors as wrong:
        return Table(
            title="Policy check",
            summary=f"{len(wrong.problems)} to mend before this can go live",
            columns=("file", "line", "what is wrong", "remedy"),
            rows=tuple((p.file, str(p.line), p.what, p.remedy) for p in wrong.problems),
        )
    return Table(
        title="Policy check",
        summary=f"{len(policies.partnerships)} partnerships, each decides every case and none loosens a national rule",
        columns=("partnership", "version", "areas", "agencies", "rules"),
        rows=tuple(
            (p.name, f"{p.version} ({p.digest})", ", ".join(p.areas), str(len(p.partners)), str(_count(p)))
            for p in policies.partnerships.values()
        ),
    )


def explain(policies: Policies, facts: CaseFacts, agencies: Agencies | None = None) -> Table:
    """Why a case goes where it goes, from the jurisdiction to the last rule, in sentences."""
    found = policies.jurisdiction(facts)
    if found.partnership is None:
        rows: tuple[tuple[str, ...], ...] = (("jurisdiction", found.sentence),)
        return Table(
            title="Why", summary=f"{found.arbiter} decides", columns=("about", "sentence"), rows=rows
        )
    proposal = decide(policies.partnership(found.partnership), facts, agencies, found.connection)
    sentences = [tuple(sentence.split(": ", 1)) for sentence in proposal.why]
    summary = " ".join(proposal.headline[:1]) + f" Policy {proposal.partnership} {proposal.policy_version}."
    return Table(
        title="Why",
        summary=summary,
        columns=("about", "sentence"),
        rows=(("Jurisdiction", found.sentence), *((about[0], about[-1]) for about in sentences)),
    )


def dry_run(
    before: Policies, after: Policies, cases: Iterable[PastCase], agencies: Agencies | None = None
) -> Table:
    """Past cases decided by both: one row for each thing that would differ. Nothing is changed by it."""
    rows: list[tuple[str, ...]] = []
    count, differing = 0, 0
    for case in cases:
        count += 1
        old, new = _decided(before, case.facts, agencies), _decided(after, case.facts, agencies)
        differences = [(case.id, what, old[what], new[what]) for what in old if old[what] != new[what]]
        differing += bool(differences)
        rows.extend(differences)
    return Table(
        title="Dry run",
        summary=f"{differing} of {count} cases would be decided differently",
        columns=("case", "what", "now", "then"),
        rows=tuple(rows),
    )


def diff(before: Policies, after: Policies) -> Table:
    """The rules that differ between two sets of policies, and changes that forgot to raise the version."""
    rows: list[tuple[str, ...]] = []
    for partnership in sorted({*before.partnerships, *after.partnerships}):
        old, new = before.partnerships.get(partnership), after.partnerships.get(partnership)
        changes = _changes(old, new)
        if changes and old is not None and new is not None and old.version == new.version:
            changes.append(
                ("version", "version", "not raised", f"still {old.version}", "raise it before publishing")
            )
        rows.extend((partnership, *change) for change in changes)
    return Table(
        title="Difference",
        summary=f"{len(rows)} differences in {len({row[0] for row in rows})} partnerships",
        columns=("partnership", "section", "rule", "change", "now", "then"),
        rows=tuple(rows),
    )


def _count(partnership: Partnership) -> int:
    return sum(len(rules) for rules in partnership.rules.values())


def _decided(policies: Policies, facts: CaseFacts, agencies: Agencies | None) -> dict[str, str]:
    found = policies.jurisdiction(facts)
    if found.partnership is None:
        return dict.fromkeys(ASPECTS, f"{found.arbiter} decides")
    proposal = decide(policies.partnership(found.partnership), facts, agencies, found.connection)
    return {what: of(proposal) for what, of in ASPECTS.items()}


def _changes(old: Partnership | None, new: Partnership | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    before, after = _written(old), _written(new)
    for section, rule in dict.fromkeys((*before, *after)):
        was, is_now = before.get((section, rule), ""), after.get((section, rule), "")
        if was != is_now:
            rows.append(
                (section, rule, "added" if not was else "removed" if not is_now else "changed", was, is_now)
            )
    if old is not None and new is not None:
        for section in old.rules:  # first match wins: the order is part of the meaning
            was_order, is_order = _order(old, new, section), _order(new, old, section)
            if was_order != is_order:
                rows.append((section, "", "reordered", " > ".join(was_order), " > ".join(is_order)))
    return rows


def _order(partnership: Partnership, other: Partnership, section: str) -> list[str]:
    shared = {rule.id for rule in other.rules.get(section, ())}
    return [rule.id for rule in partnership.rules.get(section, ()) if rule.id in shared]


def _written(partnership: Partnership | None) -> dict[tuple[str, str], str]:
    if partnership is None:
        return {}
    return {
        (section, rule.id): _sentence(rule) for section, rules in partnership.rules.items() for rule in rules
    }


def _sentence(rule: Rule) -> str:
    when = "; ".join(f"{c.attribute.says} {explanation.asked(c)}" for c in rule.conditions) or "always"
    return f"{when} -> {explanation.outcome(rule.effect)} ({rule.because})"
