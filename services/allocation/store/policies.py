"""Policies as this process knows them: those in force, and older versions under which cases still live."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from services.allocation import policy
from services.allocation.policy.clocks import LONDON
from services.allocation.policy.loader import AREAS, NATIONAL, VOCABULARY
from shared.runtime.work import Work

MOST_DECISIONS: Final = 10_000
FOLDER = Path(__file__).parents[1] / "policies"
_KEEP = """
INSERT INTO policy_version (reference, partnership, files)
SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[]) ON CONFLICT DO NOTHING
"""
_KNOWN = "SELECT reference FROM policy_version"
_FILES = "SELECT reference, partnership, files FROM policy_version WHERE reference = ANY($1::text[])"


@dataclass
class Policies:
    """`current` are in force; `older` by the reference that a case keeps."""

    current: policy.Policies
    files: dict[str, str]
    older: dict[str, policy.Partnership] = field(default_factory=dict)

    @classmethod
    def of_process(cls) -> Policies:
        """Return the policies that ship with this process, read once."""
        if not _READ:
            _READ.append(cls.read())
        return _READ[0]

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Policies:
        """Return the policies of a folder. Raises PolicyErrors with every problem, its file, line and remedy."""
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
        return cls(policy.parse(files), files)

    def of(self, partnership: str, reference: str | None = None) -> policy.Partnership:
        """Return a partnership's policy: the version of this reference, else the one in force.

        Raises FactsError if there is no such partnership.
        """
        if reference is not None and reference in self.older:
            return self.older[reference]
        return self.current.partnership(partnership)

    async def keep(self, work: Work) -> None:
        """Keep the versions in force for as long as cases live under them, and know those kept before."""
        known = {row["reference"] for row in await work.fetch(_KNOWN)}
        in_force = {p.reference: p for p in self.current.partnerships.values()}
        rows = [
            (ref, p.id, msgspec.json.encode(self._files_of(p)).decode())
            for ref, p in in_force.items()
            if ref not in known
        ]
        if rows:
            await work.execute(_KEEP, *[list(column) for column in zip(*rows, strict=True)])
        for row in await work.fetch(_FILES, sorted(known - in_force.keys() - self.older.keys())):
            files = msgspec.json.decode(row["files"], type=dict[str, str])
            self.older[row["reference"]] = policy.parse(files).partnership(row["partnership"])

    def _files_of(self, partnership: policy.Partnership) -> dict[str, str]:
        names = (VOCABULARY, AREAS, NATIONAL, partnership.file)
        return {name: self.files[name] for name in names}


_READ: list[Policies] = []


@dataclass(frozen=True, slots=True)
class Why:
    """An explanation, and what it is known by: the same for all cases that are alike."""

    text: str
    digest: str

    @classmethod
    def of(cls, sentences: Sequence[str]) -> Why:
        """Return the explanation that these sentences make."""
        text = "\n".join(sentences)
        return cls(text, hashlib.sha256(text.encode()).hexdigest())


@dataclass
class Decisions:
    """Decisions already made, by everything that they depend on. Policy is pure, and many cases are alike.

    Party ids are replaced by their place in the case, and times by their day: a due date is the end of a day. Where a
    policy looks at the hour, or at who is busy, that counts too.
    """

    known: dict[tuple[str, str | None, bytes], tuple[policy.Proposal, Why]] = field(default_factory=dict)
    momentary: dict[str, tuple[bool, bool]] = field(default_factory=dict)

    def decide(
        self,
        partnership: policy.Partnership,
        facts: policy.CaseFacts,
        agencies: policy.Agencies,
        connection: str | None,
        sentences: Sequence[str],
    ) -> tuple[policy.Proposal, Why]:
        """Return policy's decision, with parties named by their place (`0`, `1`…) as in `facts.parties`.

        Raises FactsError.
        """
        by_the_hour, by_load = self._momentary(partnership)
        alike = _alike(facts, exact=by_the_hour)
        loads = tuple(agencies.load(partner) for partner in partnership.partners) if by_load else ()
        key = (partnership.reference, connection, msgspec.json.encode((alike, sentences, loads)))
        found = self.known.get(key)
        if found is None:
            proposal = policy.decide(partnership, alike, agencies, connection)
            if len(self.known) >= MOST_DECISIONS:
                self.known.clear()
            found = self.known[key] = (proposal, Why.of((*sentences, *proposal.why)))
        return found

    def _momentary(self, partnership: policy.Partnership) -> tuple[bool, bool]:
        """Return whether a policy's decisions depend on the hour, and on who is busy."""
        if partnership.reference not in self.momentary:
            rules = [
                rule
                for section in (*partnership.rules.values(), *partnership.national.values())
                for rule in section
            ]
            dues = [
                getattr(rule.effect, name, None) for rule in rules for name in ("due", "remind", "review")
            ]
            self.momentary[partnership.reference] = (
                any(due is not None and due.unit == "hours" for due in dues),
                any(getattr(rule.effect, "choose", None) == "least_loaded" for rule in rules),
            )
        return self.momentary[partnership.reference]


def _alike(facts: policy.CaseFacts, *, exact: bool) -> policy.CaseFacts:
    parties = tuple(
        msgspec.structs.replace(party, id=str(place), district=None)
        for place, party in enumerate(facts.parties)
    )
    # Noon, because it is the same day in London and in UTC.
    day = facts.received_at.astimezone(LONDON).replace(hour=12, minute=0, second=0, microsecond=0)
    at = facts.received_at if exact else day
    return msgspec.structs.replace(facts, parties=parties, received_at=at, sharing_agreement=None)
