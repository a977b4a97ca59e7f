"""Policies as this process knows them: those in force, and older versions under which cases still live."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from services.allocation import policy
from services.allocation.policy.clocks import LONDON
from services.allocation.policy.loader import AREAS, NATIONAL, VOCABULARY
from services.allocation.policy.model import Rules
from shared.runtime.work import Work

MOST_DECISIONS: Final = 10_000
MOST_READ: Final = 3
NATION: Final = "national"
_log = logging.getLogger(__name__)
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
    def of_process(cls, published: Mapping[str, str] | None = None) -> Policies:
        """Return the policies that ship with this process, or what people have published instead, by file; read once.

        A published policy that this release cannot read is left out, and told: the release's own is in force then.
        """
        wanted = dict(published or {})
        found = _READ.get(tuple(sorted(wanted.items())))
        if found is None:
            found = _READ[tuple(sorted(wanted.items()))] = cls._over(cls.read(), wanted)
            while len(_READ) > MOST_READ:
                del _READ[next(iter(_READ))]
        return found

    @classmethod
    def _over(cls, shipped: Policies, published: Mapping[str, str]) -> Policies:
        if not published:
            return shipped
        try:
            return shipped.with_files(published)
        except policy.PolicyErrors:
            pass
        found = shipped
        for file, text in published.items():
            try:
                found = found.with_files({file: text})
            except policy.PolicyErrors as errors:
                first = errors.problems[0]
                _log.error(
                    "a published policy cannot be read by this release: publish it anew",
                    extra={"key": file, "reason": f"line {first.line}: {first.what}"},
                )
        return found

    def with_files(self, files: Mapping[str, str]) -> Policies:
        """Return these policies with other texts for some files. Raises PolicyErrors with every problem."""
        together = {**self.files, **files}
        return Policies(policy.parse(together), together)

    def rules_of(self, policy_id: str) -> Mapping[str, Rules]:
        """Return the rules of a partnership, or those of the nation, by section. Raises FactsError if there is none."""
        if policy_id == NATION:
            return next(iter(self.current.partnerships.values())).national
        return self.current.partnership(policy_id).rules

    def reference_of(self, policy_id: str) -> str:
        """Return the name and version of a policy in force. Raises FactsError if there is none."""
        if policy_id == NATION:
            return f"{NATION} {self.current.version}"
        return self.current.partnership(policy_id).reference

    def file_of(self, policy_id: str) -> str:
        """Return the file of a policy. Raises FactsError if there is none."""
        return NATIONAL if policy_id == NATION else self.current.partnership(policy_id).file

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


_READ: dict[tuple[tuple[str, str], ...], Policies] = {}


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
        busy = (agencies.delivering, loads) if by_load else ()
        key = (partnership.reference, connection, msgspec.json.encode((alike, sentences, busy)))
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
