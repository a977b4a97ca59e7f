"""Other weights for who is who: `python -m services.intake.reweighing dry-run | keys | apply --weights FILE`.

    dry-run   say what would be decided otherwise; nothing changes
    keys      let everybody be found by the keys that the weights make too (names that are corrected otherwise); resumable.
              Keys that are not made any more stay: they cost a look-up, and find nobody wrongly
    apply     let it be so: to be run when intake runs with these weights (ONEFRIEND_IDENTITY_WEIGHTS)

In that order nobody is missed: whoever is referred meanwhile is found by the old keys, and then by both. Killed anywhere,
each is begun again and goes on: what has been applied is no change any more. Progress goes to standard error, the result as
JSON to standard output. Environment: as for the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from services.intake import domain, matching, reviewing
from services.intake.core import PERSON, Intake, intake_of
from services.intake.matching import Model
from services.intake.recognising.load import open_record
from services.intake.rescoring import Change, changes, counted, read
from services.intake.service import build
from services.intake.settings import Settings
from services.intake.store import holds as hold_store
from services.intake.store import reviews
from services.intake.store.people import group_of
from shared.runtime.identifiers import new_id
from shared.runtime.problems import Problem
from shared.runtime.work import Work

_BATCH: Final = 500  # records whose keys are made in one transaction
_FROM: Final = "00000000-0000-0000-0000-000000000000"
_RECORDS: Final = """
SELECT id::text AS id, person, key, record FROM party
WHERE record IS NOT NULL AND key IS NOT NULL AND person IS NOT NULL AND id > $1::uuid ORDER BY id LIMIT $2
"""
_NEWEST: Final = """
SELECT r.agency, r.id::text AS referral, p.position, p.contact, c.case_id FROM party AS p
JOIN referral AS r ON r.id = p.referral LEFT JOIN referral_case AS c ON c.referral = r.id
WHERE p.person = $1 AND p.current AND r.status <> 'retracted' ORDER BY p.id DESC, c.position LIMIT 1
"""


def tell(what: str, done: int, of: int) -> None:
    """Show progress."""
    sys.stderr.write(f"{what}: {done:,} of {of:,}\n")


def read_weights(path: Path) -> Model:
    """Return the model of a file. Raises SystemExit: what is wrong with it, and what would be right."""
    try:
        return matching.build(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SystemExit(f"{path} cannot be read: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        lacks = f"it lacks {error}" if isinstance(error, KeyError) else type(error).__name__
        raise SystemExit(
            f"{path} holds no weights: {lacks}. `make train-identity` writes such a file."
        ) from None


# ------------------------------------------------------------------------------------------------------------------ keys


async def make_keys(service: Intake, model: Model) -> int:
    """Let everybody be found by the model's keys; returns how many keys were new. Goes on where it was interrupted."""
    mark = service.settings.state_folder / "identity" / f"keys-{matching.EDITION}-{model.version}"
    mark.parent.mkdir(parents=True, exist_ok=True)
    after = mark.read_text() if mark.exists() else _FROM
    of = await service.pool.fetchval(
        "SELECT count(*) FROM party WHERE record IS NOT NULL AND key IS NOT NULL"
    )
    done = await service.pool.fetchval(
        "SELECT count(*) FROM party WHERE record IS NOT NULL AND key IS NOT NULL AND id <= $1::uuid", after
    )
    made = 0
    while rows := await service.pool.fetch(_RECORDS, after, _BATCH):
        pairs = {
            (service.keyring.tag("blocking", key), row["person"])
            for row in rows
            for key in matching.blocking_keys(
                open_record(service.keyring, row["id"], row["key"], row["record"]), model
            )
        }
        made += await service.transact(_save_keys, sorted(pairs))
        after = rows[-1]["id"]
        mark.write_text(after)  # after the commit: what is done twice does no harm, what is left out would
        done += len(rows)
        tell("records keyed", done, of)
    return made


async def _save_keys(work: Work, pairs: Sequence[tuple[bytes, str]]) -> int:
    await work.lock()
    # Not of whoever was erased since: their keys are destroyed, and nothing may find them.
    status = await work.execute(
        """INSERT INTO blocking_key SELECT t.tag, t.person FROM unnest($1::bytea[], $2::text[]) AS t(tag, person)
           WHERE EXISTS (SELECT FROM party AS p WHERE p.person = t.person AND p.record IS NOT NULL AND p.key IS NOT NULL)
           ON CONFLICT DO NOTHING""",
        [tag for tag, _ in pairs],
        [person for _, person in pairs],
    )
    return int(status.rsplit(" ", 1)[-1])


# --------------------------------------------------------------------------------------------------------------- changes


async def apply(service: Intake, found: Sequence[Change]) -> dict[str, int]:
    """Let the changes be so; returns how many of each kind were applied. Those of a kind that only people decide are not."""
    applied: dict[str, int] = {}
    for done, change in enumerate(found, start=1):
        if change.kind != "parted" and await _apply(service, change):
            applied[change.kind] = applied.get(change.kind, 0) + 1
        if done % 50 == 0 or done == len(found):
            tell("changes applied", done, len(found))
    return applied


async def _apply(service: Intake, change: Change) -> bool:
    if change.kind == "cleared_different":
        return await service.transact(_clear, change)
    review = await service.transact(_doubt, change)
    if review is None or change.kind == "in_doubt":
        return review is not None
    # A join goes the way of a reviewer's decision: it can be undone, and a sample of them is looked at by a person.
    number, version = review
    decided = reviewing.Decided(number, version, "same", "rescored", change.other)
    try:
        await service.transact(reviewing.decide, service, decided)
    except Problem:
        return False  # somebody was first, or the two contradict each other: a reviewer decides
    return True


async def _doubt(work: Work, change: Change) -> tuple[str, int] | None:
    """Hold the newer record and put it into the queue; returns the review and its version. None if it cannot be so now."""
    row = await work.fetchrow(_NEWEST, change.person)
    if row is None or change.other is None:
        return None
    await work.lock(*((PERSON, one) for one in await group_of(work, [change.person, change.other])))
    state = work.state(PERSON, change.person)
    if state.erased or change.other in state.links or work.state(PERSON, change.other).erased:
        return None
    waiting = "SELECT id::text AS id, version FROM match_review WHERE person = $1 AND kind = 'identity' AND answer IS NULL"
    known = await work.fetchrow(waiting, change.person)
    if known is not None:
        await reviews.weigh_again(work, known["id"], change.decision)
        return known["id"], known["version"] + 1
    hold = f"{row['referral']}:{row['position']}{'c' if row['contact'] else ''}:identity_doubtful"
    work.record(PERSON, change.person, *domain.hold_person(state, hold, "identity_doubtful"))
    held = hold_store.HoldRow(
        hold, change.person, row["case_id"], row["referral"], "identity_doubtful", None, work.now, 1, None
    )
    await hold_store.insert_or_set_again(work, held)
    number = new_id()
    await reviews.open_identity(
        work, number, change.person, hold, row["agency"], row["referral"], change.decision
    )
    return number, 1


async def _clear(work: Work, change: Change) -> bool:
    """Two people: what was held for a reviewer is let go."""
    await work.lock((PERSON, change.person))
    row = await work.fetchrow(
        "SELECT id, hold FROM match_review WHERE person = $1 AND kind = 'identity' AND answer IS NULL FOR UPDATE",
        change.person,
    )
    if row is None:
        return False
    events = domain.lift_person(work.state(PERSON, change.person), row["hold"], "rescored")
    work.record(PERSON, change.person, *events)
    await hold_store.lift(work, row["hold"], "rescored")
    await work.execute(
        "UPDATE match_review SET answer = 'superseded', decided_at = $2, model = $3, version = version + 1 WHERE id = $1",
        row["id"],
        work.now,
        change.decision.model,
    )
    return True


# ------------------------------------------------------------------------------------------------------------------ main


async def run(service: Intake, step: str, model: Model) -> dict[str, Any]:
    """Do one step; returns what came of it."""
    async with service.running(parts=()):
        while not service.started:
            if service.failure is not None:
                raise service.failure
            await asyncio.sleep(0.05)
        await asyncio.wait_for(service.reconciled.wait(), 60)
        if step == "keys":
            return {"model": model.version, "keys": await make_keys(service, model)}
        if step == "apply":
            matching.use(model)
            await make_keys(service, model)
        snapshot = await read(service, tell)
        found = list(changes(snapshot, model, tell))
        result: dict[str, Any] = {
            "model": model.version,
            "people": len(snapshot.people),
            "waiting": len(snapshot.open),
            "changes": counted(found),
            "who": [
                {"change": one.kind, "person": one.person, "other": one.other, "score": round(one.decision.score, 2),
                 "why": one.decision.sentence} for one in found
            ],
        }  # fmt: skip
        return result | ({"applied": await apply(service, found)} if step == "apply" else {})


def main(argv: Sequence[str] | None = None) -> None:
    """Run one step from the command line."""
    parser = argparse.ArgumentParser(prog="python -m services.intake.reweighing")
    parser.add_argument("step", choices=("dry-run", "keys", "apply"))
    parser.add_argument("--weights", type=Path, required=True)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING)
    model = read_weights(arguments.weights)
    service = intake_of(build(Settings()))
    result = asyncio.run(run(service, arguments.step, model))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()
