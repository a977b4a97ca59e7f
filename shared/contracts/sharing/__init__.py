"""Information sharing agreements: one YAML file each, saying what a referring agency may see, and why.

Whoever leads, delivers or co-ordinates sees what its part needs; these files are about the agencies that referred. Without
an agreement an agency sees that its referral was received and whether it is still open, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.contracts.envelope import REGISTER

Status = Literal["hold_reason", "case_status", "case_reason"]
ANY_REFERRER = "any-referrer"
Case = Literal["reason", "leads", "co_ordinator", "outcomes", "rule"]


class BadAgreement(Exception):
    """A file that is no agreement; names the file, the field and the remedy."""


class SharingAgreement(BaseModel):
    """What one agreement allows, and whom.

    `between` are the agencies that are party to it, by id; `any-referrer` stands for whoever refers.

    `referrer_status`: of a referral, at intake; `referrer_case`: of its case, at allocation; `referrer_feed`: the kinds of
    event of its case that its feed tells.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{1,62}$")
    title: str
    purpose: str
    legal_basis: str
    between: tuple[str, ...] = Field(min_length=2)
    since: date
    until: date | None = None
    referrer_status: tuple[Status, ...] = ()
    referrer_case: tuple[Case, ...] = ()
    referrer_feed: tuple[str, ...] = ()

    def in_force(self, day: date) -> bool:
        """Whether it holds on a day."""
        return self.since <= day and (self.until is None or day <= self.until)

    def covers(self, agency: str, day: date) -> bool:
        """Whether it gives this agency anything on a day: whoever names an agreement has to be party to it."""
        return self.in_force(day) and not {agency, ANY_REFERRER}.isdisjoint(self.between)


def read(file: Path) -> SharingAgreement:
    """Read one agreement. Raises BadAgreement."""
    try:
        agreement = SharingAgreement.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise BadAgreement(f"{file.name}{line}: not YAML; mend the indentation or the quotes there") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadAgreement(f"{file.name}: {where}: {first['msg']}") from None
    kinds = {name.rpartition(".v")[0] for name in REGISTER}
    for kind in agreement.referrer_feed:
        if kind not in kinds:
            raise BadAgreement(f"{file.name}: referrer_feed: there is no event {kind}; see docs/events.md")
    if agreement.id != file.stem:
        raise BadAgreement(f"{file.name}: id: it must be the file's name, {file.stem}")
    return agreement


@cache
def agreements(folder: Path = Path(__file__).parent) -> Mapping[str, SharingAgreement]:
    """Return every agreement by its id. Raises BadAgreement."""
    import shared.contracts  # noqa: F401, PLC0415 - registers every event type, which this package is imported by

    return {agreement.id: agreement for agreement in map(read, sorted(folder.glob("*.yaml")))}
