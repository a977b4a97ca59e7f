"""Policies as this process knows them: those in force, and older versions under which cases still live."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from services.allocation import policy
from services.allocation.policy.loader import AREAS, NATIONAL, VOCABULARY
from shared.runtime.work import Work

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
