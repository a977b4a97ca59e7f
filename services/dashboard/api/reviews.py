"""Who is who: the queue of doubts, two records side by side, a decision, its undoing, a second opinion."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, Response

from services.dashboard import comparing, words
from services.dashboard.api.common import Worker, form_of, page, seen, signed_in
from services.dashboard.core import Current, Dashboard
from services.dashboard.gateways import Refused
from services.dashboard.handlers import REVIEWS
from shared.runtime.problems import Problem

router = APIRouter(include_in_schema=False)
Id = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
State = Literal["open", "second", "asked", "decided"]
Cursor = Annotated[str, Query(max_length=400)]
_PAGE: Final = 50
_ANSWERS: Final = ("same", "different", "cannot_tell")
Said = Literal[
    "", "same", "different", "cannot_tell", "second_agrees", "second_differs", "undone", "moved", "not_saved"
]  # fmt: skip
_LATELY: Final = 412  # somebody else changed it first
_CONFLICT: Final = 409


@router.get("/")
async def first(request: Request, worker: Worker = signed_in()) -> Response:
    """Send everybody to the first page of their role; tell whoever has none."""
    if worker.pages:
        return seen(worker.pages[0][0])
    return page(request, "nothing.html")


@dataclass(frozen=True, slots=True)
class Done:
    """What has just been done, to be told on the next page, where it can be undone."""

    review: str = ""
    said: str = ""
    version: int = 0
    kind: str = "identity"

    @property
    def query(self) -> str:
        """The part of an address that carries it."""
        return urlencode({"done": self.review, "said": self.said, "v": self.version, "of": self.kind})


def _done(
    done: Annotated[str, Query(pattern=r"^([0-9a-f-]{36})?$")] = "",
    said: Annotated[Said, Query()] = "",
    v: Annotated[int, Query(ge=0)] = 0,
    of: Annotated[Literal["identity", "incident"], Query()] = "identity",
) -> Done | None:
    return Done(done, said, v, of) if said else None


JustDone = Annotated[Done | None, Depends(_done)]


@router.get("/reviews")
async def queue(
    request: Request,
    service: Current,
    done: JustDone,
    state: State = "open",
    kind: Literal["", "identity", "incident"] = "",
    cursor: Cursor = "",
    worker: Worker = signed_in("hub"),
) -> HTMLResponse:
    """Show the queue, the most urgent first."""
    query: dict[str, str | int] = {"state": state, "limit": _PAGE}
    query |= {name: value for name, value in (("kind", kind), ("cursor", cursor)) if value}
    number = service.board.number(REVIEWS)  # before the look: what changes after it is news
    found, counts, asked = await asyncio.gather(
        service.intake.reviews(worker.token, **query),
        service.intake.summary(worker.token),
        service.intake.second_person(worker.token, limit=_PAGE),
    )
    waiting = sum(not worker.asked(one) for one in asked["requests"])
    onward = urlencode({"state": state, "kind": kind, "cursor": found["next"]}) if found["next"] else ""
    return page(
        request, "queue.html", reviews=found["reviews"], counts=counts, waiting=waiting,
        state=state, kind=kind, onward=onward, done=done, first_page=not cursor, seen=number,
    )  # fmt: skip


@router.get("/reviews/incomplete")
async def incomplete(
    request: Request, service: Current, cursor: Cursor = "", worker: Worker = signed_in("hub", "operator")
) -> HTMLResponse:
    """Show what waits for an agency, not for a reviewer."""
    query: dict[str, str | int] = {"limit": _PAGE} | ({"cursor": cursor} if cursor else {})
    found = await service.intake.incomplete(worker.token, **query)
    counts = await service.intake.summary(worker.token)
    return page(request, "incomplete.html", holds=found["holds"], onward=found["next"], counts=counts)


@router.get("/reviews/agreement")
async def agreement(
    request: Request, service: Current, worker: Worker = signed_in("hub", "operator")
) -> HTMLResponse:
    """Show how far two reviewers who do not know of each other agree."""
    return page(request, "agreement.html", counts=await service.intake.summary(worker.token))


@router.get("/reviews/{review}")
async def show(
    request: Request, service: Current, review: Id, done: JustDone, worker: Worker = signed_in("hub")
) -> HTMLResponse:
    """Show two records side by side."""
    body = await service.intake.review(worker.token, review)
    return await _show(request, service, worker, body, done=done)


async def _show(
    request: Request,
    service: Current,
    worker: Worker,
    body: dict[str, Any],
    *,
    done: Done | None = None,
    wrong: dict[str, str] | None = None,
    chosen: FormData | None = None,
    status: int = 200,
) -> HTMLResponse:
    second = bool(body["blind"])
    waiting = await service.intake.reviews(worker.token, state="second" if second else "open", limit=_PAGE)
    order = [one["id"] for one in waiting["reviews"]]
    at = order.index(body["id"]) if body["id"] in order else -1
    return page(
        request, "review.html", status, review=body, pairs=_pairs(body), done=done, wrong=wrong or {}, second=second,
        before=order[at - 1] if at > 0 else None, after=order[at + 1] if 0 <= at < len(order) - 1 else None,
        answers=words.INCIDENT_ANSWERS if body["kind"] == "incident" else words.ANSWERS,
        given=words.GIVEN, position=at + 1, total=len(order), chosen=chosen or {},
    )  # fmt: skip


def _pairs(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the candidates, each beside the record in question, with how the matcher found that they compare."""
    if body["kind"] == "incident":
        own, *others = body["cases"]
        return [
            {"id": other["case"], "rows": comparing.incident_rows(own["records"], other["records"]),
             "mine": own["records"], "theirs": other["records"]} for other in others
        ]  # fmt: skip
    own, *others = body["sides"]
    mine = [record["sent"] for record in own["records"] if record["sent"]]
    # A review from before has the first's alone.
    tables = {**body["others"], others[0]["person"]: body["evidence"]} if others else {}
    return [
        {
            "id": other["person"],
            "evidence": tables.get(other["person"], ()),
            "rows": comparing.rows(
                mine,
                [record["sent"] for record in other["records"] if record["sent"]],
                tables.get(other["person"], ()),
            ),
            "mine": own["records"],
            "theirs": other["records"],
        }
        for other in others
    ]


# -------------------------------------------------------------------------------------------------------------- deciding


@router.post("/reviews/{review}/decision")
async def decide(
    request: Request, service: Current, review: Id, worker: Worker = signed_in("hub")
) -> Response:
    """Decide, or give a second opinion; then go on with the next."""
    form = await form_of(request, worker)
    wrong = _wrong(form)
    if wrong:
        body = await service.intake.review(worker.token, review)
        return await _show(request, service, worker, body, wrong=wrong, chosen=form, status=422)
    decision = {"answer": form["answer"], "reason": form["reason"]}
    if form.get("with") and form["answer"] == "same":
        decision["with"] = form["with"]
    second = form.get("second") == "yes"
    onward = str(form.get("after", ""))
    try:
        if second:
            agree = await service.intake.second(worker.token, review, _version(form), decision)
            done = Done(review, "second_agrees" if agree else "second_differs")
        else:
            version = await service.intake.decide(worker.token, review, _version(form), decision)
            done = Done(review, str(form["answer"]), version, str(form.get("kind", "identity")))
    except Refused as refused:
        if refused.status == _LATELY:
            return await _late(service, worker, review, form)
        if refused.status != _CONFLICT:
            raise
        # What cannot be answered so is said beside what can be: the two records, and the other answers.
        body = await service.intake.review(worker.token, review)
        why = {"answer": f"{refused.title} {refused.detail}".strip()}
        return await _show(request, service, worker, body, wrong=why, chosen=form, status=refused.status)
    where = f"/reviews/{onward}" if len(onward) == len(review) else "/reviews"
    more = "&state=second" if second and where == "/reviews" else ""
    return seen(f"{where}?{done.query}{more}")


async def _late(service: Dashboard, worker: Worker, review: str, form: FormData) -> Response:
    """Say what became of an answer whose review had changed: by the first of two clicks it may have been this very one."""
    body = await service.intake.review(worker.token, review)
    if body["answer"] == form["answer"] and body["decided_by"] == worker.caller.worker:
        done = Done(review, str(form["answer"]), body["version"], body["kind"])
        return seen(f"/reviews/{review}?{done.query}")
    return seen(f"/reviews/{review}?said=moved")


def _wrong(form: FormData) -> dict[str, str]:
    """Return what is missing in a form, by field."""
    wrong = {}
    if form.get("answer") not in _ANSWERS:
        wrong["answer"] = "Choose an answer"
    if form.get("answer") == "same" and form.get("several") and not form.get("with"):
        wrong["with"] = "Choose which of them is the same"
    if form.get("reason") not in words.GIVEN:
        wrong["reason"] = "Choose a reason"
    return wrong


def _version(form: FormData) -> int:
    try:
        return int(str(form.get("version", "")))
    except ValueError:
        raise Problem(400, "form", "The form cannot be understood.") from None


@router.post("/reviews/{review}/undo")
async def undo(request: Request, service: Current, review: Id, worker: Worker = signed_in("hub")) -> Response:
    """Undo a decision; the review is open again, and the record on hold."""
    form = await form_of(request, worker)
    try:
        await service.intake.undo(worker.token, review, _version(form), "undone")
    except Refused as refused:
        if refused.status == _LATELY:
            return seen(f"/reviews/{review}?said=moved")
        raise
    return seen(f"/reviews/{review}?said=undone")
