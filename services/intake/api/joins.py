"""Why records are one person, and a join undone by two people."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from services.intake import explaining, parting
from services.intake.api import answers
from services.intake.api.common import Key, PathId, json_response, parse, sends
from services.intake.api.people import ReasonCode, awaiting
from services.intake.core import Current, Intake
from services.intake.referral import Part
from services.intake.sides import may_see
from services.intake.store import joins as store
from services.intake.store import reading, second_person
from services.intake.store.people import group_of
from shared.runtime.auth import Caller, scope
from shared.runtime.http import etag
from shared.runtime.idempotency import Answer
from shared.runtime.problems import not_found
from shared.runtime.work import Work

router = APIRouter(prefix="/v1", tags=["people"])
Cursor = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=200)]


@router.get("/people/{person}/joins")
async def list_joins(
    person: PathId,
    service: Current,
    cursor: Cursor = None,
    limit: Limit = 50,
    caller: Caller = scope("hub"),
) -> Response:
    """Return why each record is this person's: a sentence, the table of evidence, the model's version.

    `joins`: the records, the oldest first. `answer`: new, joined, held (in doubt: a reviewer or the agency was asked), kept
    (a later version), parted (from another person, by two people), null if it was decided before that was recorded; `like`:
    the record that it was joined with; `asked`: who wants it parted from this person. `links`: other ids of the same human,
    and why. `waiting`: what waits for a second person about them. `version`: what an unlink must name. No value of a record
    is in it, and an agency with which the reader's shares nothing is null. The reading is recorded.
    """
    body = await service.transact(_joins, caller, person, cursor, limit, actor=caller.actor)
    return json_response(body, headers={"ETag": etag(body["version"]), "Cache-Control": "no-store"})


async def _joins(work: Work, caller: Caller, person: str, cursor: str | None, limit: int) -> dict[str, Any]:
    row = await work.fetchrow(
        """SELECT state ->> 'links' AS links, version FROM stream
           WHERE kind = 'person' AND key = $1 AND coalesce(state ->> 'erased', 'false') <> 'true'""",
        person,
    )
    if row is None:
        raise not_found("person")
    await work.lock()
    await reading.note_read(work, caller.agency, caller.worker, "person.joins", person)
    rows, following = await store.page(work, person, cursor, limit)
    others = msgspec.json.decode(row["links"] or "[]", type=list[str])
    linked = await store.links(work, person, others)
    return {
        "person": person,
        "joins": [_join(work, caller, {person, *others}, one) for one in rows],
        "links": [_link(one) for one in linked if not _blind(caller, one)],
        "waiting": await second_person.waiting(work, person, await group_of(work, [person])),
        "version": row["version"],
        "next": following,
    }


def _join(work: Work, caller: Caller, human: set[str], row: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    def named(agency: str | None) -> str | None:
        return agency if agency and may_see(caller, agency, work.now.date()) else None

    what = explaining.decoded(row["decided"])
    like = None
    if row["like_referral"]:
        # It may have become somebody else's since.
        theirs = row["like_person"] in human
        like = {
            "referral": row["like_referral"],
            "agency": named(row["like_agency"]),
            "of_this_person": theirs,
        }
    asked = None
    if row["asked_at"]:
        by = {"agency": row["asked_by_agency"], "worker": row["asked_by"]}
        asked = {"reason": row["asked_for"], **by, "at": row["asked_at"].isoformat()}
    return {
        **{name: row[name] for name in ("record", "referral", "position", "contact", "role", "retracted", "version")},
        "agency": named(row["agency"]),
        "received_at": row["received_at"].isoformat(),
        **_why(what),
        "like": like,
        "review": _review(caller, row),
        "parting": msgspec.to_builtins(what.parting) if what and what.parting else None,
        "asked": asked,
    }  # fmt: skip


def _why(what: explaining.Decided | None) -> dict[str, Any]:
    return {
        "answer": what.answer if what else None,
        "sentence": explaining.in_words(what),
        "reasons": list(what.reasons) if what else [],
        "score": what.score if what else None,
        "evidence": list(what.evidence) if what else [],
        "model": what.model or None if what else None,
    }


def _link(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a record
    if row["review"] is None:
        return {"person": row["other"], **_why(explaining.decoded(row["decided"])), "review": None}
    return {
        "person": row["other"],
        # Other weights decide as a reviewer does, but for being nobody.
        "answer": "decided" if _decider(row) else "linked",
        "sentence": row["sentence"],
        "reasons": row["reasons"],
        "score": row["score"],
        "evidence": msgspec.json.decode(row["evidence"]),
        "model": row["model"],
        "review": _decision(row, "same"),
    }


def _review(caller: Caller, row: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a record
    if row["review"] is None:
        return None
    return _decision(row, None if _blind(caller, row) else row["answer"])


def _decision(row: Any, answer: str | None) -> dict[str, Any]:  # noqa: ANN401 - a record
    told = answer is not None
    return {
        "review": row["review"],
        "answer": answer,
        "decided_by": _decider(row) if told else None,
        "decided_at": row["decided_at"].isoformat() if told and row["decided_at"] else None,
    }


def _decider(row: Any) -> str | None:  # noqa: ANN401 - a record
    found: str | None = msgspec.json.decode(row["decided_by"] or "{}").get("worker")
    return found


def _blind(caller: Caller, row: Any) -> bool:  # noqa: ANN401 - a record
    """Whether a second opinion is wanted of somebody like the reader, who must not know the first."""
    return bool(row["second"]) and caller.worker != _decider(row)


# -------------------------------------------------------------------------------------------------------------- undoing


class Split(Part):
    """A referral's party that was taken for this person and is somebody else."""

    referral: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    position: Annotated[int, Field(ge=0, le=60)]
    contact: bool = False
    reason: ReasonCode = "wrong_join"


@router.post(
    "/people/{person}/splits",
    status_code=201,
    responses={201: {"model": answers.Parted}, 202: {"model": answers.Awaiting}},
    openapi_extra=sends(Split),
)
async def split(
    request: Request, person: PathId, service: Current, key: Key, caller: Caller = scope("hub")
) -> Response:
    """Undo a join: a referral's party becomes a person of their own. 202: another worker has to ask for the same."""
    raw = await request.body()
    body = parse(Split, raw)
    if reading.as_uuid(body.referral) is None:
        raise not_found("party of this person")
    route = f"POST /v1/people/{person}/splits"
    answer = await service.once(caller, key, raw, _split, service, person, body, route=route)
    return answer.response()


async def _split(work: Work, service: Intake, person: str, body: Split) -> Answer:
    party = await parting.party_of(work, person, body.referral, body.position, contact=body.contact)
    asked = await second_person.seconded(work, person, "split", party, body.reason)
    if asked is None:
        # Once more: who seconded it at the same moment may have had it done.
        await parting.party_of(work, person, body.referral, body.position, contact=body.contact)
        return awaiting(person)
    new = await parting.split(
        work, service, person, party, asked.reason, worker=asked.worker, confirmed_by=work.actor.worker
    )
    return Answer(201, {"person": new, "split_from": person})
