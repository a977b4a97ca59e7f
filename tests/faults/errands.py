"""What the life of a case asks for besides contact, once each: every route of the four services, for people of its own.

A clerk with every right goes from desk to desk: holds, releases, corrects, pauses, resumes, takes on, exports,
reopens, erases. Nothing is judged by its answer, because everything may be dying meanwhile, and some is refused by
right: the clerk is there so that services pass through all their routes, and can die in them. What is judged is what is left
behind: no gap in any history, everything told and applied everywhere, and nobody contacted who must not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx

from tests.faults.agency import PATIENCE
from tests.faults.arena import Arena
from tests.faults.people import DESK, HERTFORDSHIRE
from tests.support.fleet import AGENCY_SCOPES, SERVICES
from tests.support.tokens import bearer

HUB, LEAD, REFERRER, OPERATOR = "herts-rj-coordinator", "beacon", "hertfordshire-constabulary", "onefriend"
# Whoever sends messages asks for the link that each of them carries.
SENDER = "notifications"
RIGHTS = (*AGENCY_SCOPES, "hub", "operator", "people.write", "measures.read", "self_referrals.write")
_REFERRED = """
SELECT key, data::text::json ->> 'case' AS case, data::text::json ->> 'role' AS role FROM journal
WHERE type LIKE 'person.referred.%' AND data::text::json ->> 'referral' = $1
"""
# A service that has just died is asked again.
TRIES, AWAY = 24, 503
# By then a case has its lead, on a machine that is not too busy.
ALLOCATED = 3.0
# So many times half a second it waits for a mail.
MAILED = 10
REASON = {"reason": "clerical_error"}

# Who asks which service for what; `{…}` is what is known by then; last the resource whose ETag goes along. The order is that
# of a case's life: what ends it comes last.
ERRANDS: tuple[tuple[str, str, str, Any, str], ...] = (
    (HUB, "intake", "GET /v1/referrals?reference=F-1", None, ""),
    (HUB, "intake", "GET /v1/referrals/incomplete", None, ""),
    (HUB, "intake", "GET /v1/match-reviews/summary", None, ""),
    (HUB, "intake", "GET /v1/referrals/{referral}/holds", None, ""),
    (HUB, "intake", "POST /v1/referrals/{referral}/holds", REASON, ""),
    (HUB, "intake", "POST /v1/referrals/{referral}/holds/{hold}/release", REASON, "version"),
    (HUB, "intake", "GET /v1/people/{person}", None, ""),
    (REFERRER, "intake", "PATCH /v1/people/{person}", {"language": "cy"}, "/v1/people/{person}"),
    (HUB, "intake", "GET /v1/people/{person}/export", None, ""),
    (HUB, "intake", "GET /v1/people/{person}/reads", None, ""),
    (HUB, "intake", "GET /v1/people/{person}/contact-points", None, ""),
    (HUB, "intake", "GET /v1/people/{person}/joins", None, ""),
    (HUB, "intake", "GET /v1/second-person", None, ""),
    (HUB, "intake", "POST /v1/people/{person}/contact-points/clearances", {"other": "{other}"}, ""),
    (HUB, "intake", "DELETE /v1/people/{person}/links/{other}", None, "/v1/people/{person}"),
    (f"{HUB}/worker-2", "intake", "DELETE /v1/people/{person}/links/{other}", None, "/v1/people/{person}"),
    (HUB, "intake", "POST /v1/people/{other}/splits", {"referral": "{referral}", "position": 1}, ""),
    (f"{HUB}/worker-2", "intake", "POST /v1/people/{other}/splits", {"referral": "{referral}", "position": 1}, ""),
    (HUB, "intake", "DELETE /v1/second-person?what=erasure&person={other}", None, ""),
    (HUB, "intake", "GET /v1/withdrawals", None, ""),
    (HUB, "intake", "POST /v1/withdrawals/{id}/resolution", {"people": ["{other}"]}, ""),
    (HUB, "intake", "POST /v1/match-reviews/{id}/second", {"answer": "same", "reason": "same_details"}, "version"),
    (REFERRER, "intake", "POST /v1/referral-batches", {}, ""),
    (REFERRER, "intake", "POST /v1/register-imports", {}, ""),
    (REFERRER, "intake", "POST /v1/self-referrals", {}, ""),
    (HUB, "intake", "GET /v1/releases", None, ""),
    (LEAD, "allocation", "GET /v1/agenda", None, ""),
    (LEAD, "allocation", "GET /v1/cases", None, ""),
    (LEAD, "allocation", "GET /v1/checks", None, ""),
    (HUB, "allocation", "GET /v1/measures", None, ""),
    (HUB, "allocation", "GET /v1/agencies", None, ""),
    (HUB, "allocation", "GET /v1/agencies/beacon", None, ""),
    (LEAD, "allocation", "GET /v1/workers/worker-1", None, ""),
    (LEAD, "allocation", "PUT /v1/workers/worker-1", {}, "version"),
    (HUB, "allocation", "GET /v1/policies", None, ""),
    (HUB, "allocation", "POST /v1/cases/{case}/pause", REASON, "/v1/cases/{case}"),
    (HUB, "allocation", "POST /v1/cases/{case}/resumption", REASON, "/v1/cases/{case}"),
    (LEAD, "allocation", "POST /v1/cases/{case}/acceptance", {"worker": "worker-1"}, "/v1/cases/{case}"),
    (LEAD, "allocation", "PUT /v1/cases/{case}/team", {"members": ["worker-1", "worker-2"]}, "/v1/cases/{case}"),
    # Early: what comes later gives the case to somebody else, as often as not.
    (LEAD, "allocation", "POST /v1/cases/{case}/outcomes",
     {"form": "none", "agreement": False}, "/v1/cases/{case}"),
    (LEAD, "consent", "POST /v1/contact-checks", {"case": "{case}", "party": "{person}"}, ""),
    (HUB, "consent", "GET /v1/people/{person}/standing", None, ""),
    (HUB, "consent", "GET /v1/people/{person}/ledger", None, ""),
    (HUB, "consent", "GET /v1/unresolved-attempts", None, ""),
    (HUB, "consent", "GET /v1/unresolved-attempts/{permit}", None, ""),
    (HUB, "consent", "POST /v1/unresolved-attempts/{permit}/resolution", {"outcome": "no_answer"}, "version"),
    (LEAD, "consent", "POST /v1/permits", {"case": "{case}", "person": "{person}", "channel": "letter"}, ""),
    (LEAD, "consent", "GET /v1/permits/{permit}", None, ""),
    (LEAD, "consent", "DELETE /v1/permits/{permit}", None, ""),
    (LEAD, "consent", "POST /v1/people/{person}/agreements",
     {"scope": ["be_contacted"], "case": "{case}", "means": "phone"}, ""),
    (LEAD, "consent", "POST /v1/inbound-contacts", {"case": "{case}", "person": "{person}", "answer": "agreed"}, ""),
    (LEAD, "allocation", "POST /v1/cases/{case}/checks", {}, "/v1/cases/{case}"),
    (HUB, "allocation", "GET /v1/checks/{id}", None, ""),
    (LEAD, "allocation", "PUT /v1/checks/{id}/answer", {}, "version"),
    (LEAD, "allocation", "POST /v1/meetings", {}, ""),
    (LEAD, "allocation", "GET /v1/meetings/{id}", None, ""),
    (LEAD, "allocation", "POST /v1/meetings/{id}/acceptance", {}, ""),
    (HUB, "allocation", "POST /v1/cases/{case}/decision",
     {"kind": "lead", "party": "{other}", "agency": "mediation-hertfordshire"}, "/v1/cases/{case}"),
    (HUB, "allocation", "POST /v1/cases/{case}/reallocation",
     {"party": "{other}", "agency": "mediation-hertfordshire", **REASON}, "/v1/cases/{case}"),
    (HUB, "allocation", "POST /v1/cases/{case}/policy", {}, "/v1/cases/{case}"),
    (HUB, "allocation", "POST /v1/cases/{case}/transfer", {}, "/v1/cases/{case}"),
    (LEAD, "allocation", "POST /v1/cases/{case}/return", REASON, "/v1/cases/{case}"),
    (LEAD, "notifications", "GET /v1/messages", None, ""),
    (LEAD, "notifications", "GET /v1/messages/{id}", None, ""),
    (LEAD, "notifications", "GET /v1/deliveries", None, ""),
    (LEAD, "notifications", "POST /v1/subscriptions", {"url": f"mailto:{DESK}"}, ""),
    (LEAD, "notifications", "POST /v1/subscriptions/{subscription}/confirmation", None, ""),
    (LEAD, "notifications", "POST /v1/subscriptions/link/{token}", None, ""),
    (LEAD, "notifications", "GET /v1/subscriptions", None, ""),
    (LEAD, "notifications", "GET /v1/subscriptions/{subscription}", None, ""),
    (LEAD, "notifications", "PATCH /v1/subscriptions/{subscription}",
     {"kinds": ["case.allocated"]}, "/v1/subscriptions/{subscription}"),
    (LEAD, "notifications", "POST /v1/subscriptions/{subscription}/test", None, ""),
    (LEAD, "notifications", "POST /v1/subscriptions/{subscription}/replay", {"after": 0}, ""),
    (LEAD, "notifications", "POST /v1/deliveries/{id}/redrive", None, ""),
    (LEAD, "notifications", "DELETE /v1/subscriptions/{subscription}", None, ""),
    (SENDER, "intake", "POST /v1/people/{person}/withdrawal-link", None, ""),
    (SENDER, "intake", "POST /v1/withdrawals/link/{link}", None, ""),
    (REFERRER, "intake", "POST /v1/withdrawals", {"scope": "everything", "by": "person", "person": "{person}"}, ""),
    (HUB, "consent", "POST /v1/people/{person}/reopenings", {"evidence": "letter/1"}, ""),
    # Once more: a correction opens again too, and what is open is not reopened.
    (REFERRER, "intake", "POST /v1/withdrawals", {"scope": "everything", "by": "person", "person": "{person}"}, ""),
    (HUB, "consent", "POST /v1/corrections", {"person": "{person}", "evidence": "note/1"}, ""),
    (f"{HUB}/worker-2", "consent", "POST /v1/corrections/{correction}/confirmation", None, ""),
    (HUB, "allocation", "POST /v1/cases/{case}/closure", REASON, "/v1/cases/{case}"),
    (REFERRER, "intake", "POST /v1/referrals/{second}/retraction", None, ""),
    (HUB, "intake", "POST /v1/people/{person}/erasure", {"reason": "asked_by_person"}, ""),
    (f"{HUB}/worker-2", "intake", "POST /v1/people/{person}/erasure", {"reason": "asked_by_person"}, ""),
)  # fmt: skip
# What an answer teaches: where its body has such a field, that is `{…}` from then on.
LEARNT = ("permit", "fence", "subscription", "correction", "hold", "check", "token", "link")


@dataclass
class Clerk:
    """Does the errands of one case."""

    arena: Arena
    known: dict[str, str] = field(default_factory=lambda: {"id": str(uuid.uuid4())})
    version: str = '"1"'
    # How many letters the desk had when the clerk began.
    letters: int = 0
    # Whether every other route is knocked at too.
    knocks: bool = True
    # What was answered, by route: for whoever wants to see which errands come to something.
    answers: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Go through all of them, once."""
        self.letters = len(self.arena.desk_links())
        await self._refer()
        for who, service, errand, body, match in ERRANDS:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                await self.do(who, service, errand, body, match)
        if self.knocks:
            await asyncio.gather(*(self._knock(service) for service in SERVICES))

    async def _knock(self, service: str) -> None:
        """Knock at every other route too, with nothing in hand: it is answered, if only by a no."""
        with contextlib.suppress(httpx.HTTPError, ValueError):
            paths = (await self.ask(HUB, service, "GET", "/openapi.json")).json()["paths"]
            for path, methods in paths.items():
                for method in methods:
                    if not any(
                        f"{method.upper()} {path}" == errand.partition("?")[0]
                        for _, _, errand, _, _ in ERRANDS
                    ):
                        filled = re.sub(r"\{[^}]+\}", self.known["id"], path)
                        with contextlib.suppress(httpx.HTTPError):
                            await self.ask(OPERATOR, service, method.upper(), filled, {})

    async def _refer(self) -> None:
        harmed, responsible = self.arena.population.human(), self.arena.population.human()
        self.arena.humans |= {human.phone: human for human in (harmed, responsible)}
        self.arena.humans |= {human.email: human for human in (harmed, responsible)}
        first = self.arena.population.referral(HERTFORDSHIRE, harmed, responsible)
        second = self.arena.population.referral(
            HERTFORDSHIRE, harmed, responsible, first["incident"]["reference"]
        )
        # Whether the responsible party admits it is said only when the case is with its lead: until then a check is asked.
        unsaid = [first["parties"][0], first["parties"][1] | {"admitted": None}]
        early = {**first, "parties": unsaid}
        for name, document in (("second", second), ("referral", early)):
            for changed in (document, {**document, "version": 2, "stage": "post_sentence"}):
                await self.post(name, changed)
        deadline = time.monotonic() + PATIENCE
        while "person" not in self.known and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            with contextlib.suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._find()
        await asyncio.sleep(ALLOCATED)
        await self.post("referral", {**first, "version": 3, "stage": "post_sentence"})

    async def post(self, name: str, document: dict[str, Any], who: str = REFERRER) -> None:
        """Refer, and know the referral by this name."""
        with contextlib.suppress(httpx.HTTPError, ValueError, KeyError):
            answer = await self.ask(who, "intake", "POST", "/v1/referrals", document, prefer="wait=10")
            self.known[name] = answer.json()["referral"]

    async def _find(self) -> None:
        for role, (person, case) in (await self.referred(self.known.get("referral", ""))).items():
            self.known["case"] = case
            self.known["person" if role == "harmed" else "other"] = person

    async def referred(self, referral: str) -> dict[str, tuple[str, str]]:
        """Return the person and the case of each role, by intake's own journal."""
        connection = await asyncpg.connect(self.arena.onefriend.databases["intake"], timeout=5)
        try:
            rows = await connection.fetch(_REFERRED, referral)
            return {row["role"]: (row["key"], row["case"]) for row in rows}
        finally:
            await connection.close()

    async def do(self, who: str, service: str, errand: str, body: Any, match: str) -> None:
        """Do one of them, or another like it; learn from its answer."""
        if "{token}" in errand:
            await self._read_mail()
        method, _, path = self.filled(errand).partition(" ")
        etag = self.version
        if match.startswith("/"):
            read = await self.ask(who, service, "GET", self.filled(match))
            etag = read.headers.get("etag", etag)
        sent = json.loads(self.filled(json.dumps(body)))
        if isinstance(sent, dict) and str(sent.get("fence", "")).isdigit():
            sent["fence"] = int(sent["fence"])
        answer = await self.ask(who, service, method, path, sent, etag=etag if match else "")
        self.answers[f"{service} {errand}"] = answer.status_code
        if answer.is_success and answer.content:
            self.version = answer.headers.get("etag", self.version)
            self._learn(answer.json())

    async def _read_mail(self) -> None:
        """Wait for the link that a mailbox has to agree by, unless it was lost in a fault."""
        for _ in range(MAILED):
            await asyncio.sleep(0.5)
            if len(links := self.arena.desk_links()) > self.letters:
                self.known["token"] = links[-1].rpartition("/")[2]
                return

    def _learn(self, body: Any) -> None:
        if isinstance(body, dict):
            self.known |= {name: str(body[name]) for name in LEARNT if isinstance(body.get(name), str | int)}
            if "/withdrawals/link/" in str(body.get("url")):
                self.known["link"] = str(body["url"]).rpartition("/")[2]
            if "id" in body and "url" in body:
                self.known["subscription"] = str(body["id"])

    def filled(self, text: str) -> str:
        """Return a text with what is known by now; what is not is something that nobody knows."""
        return re.sub(r"\{(\w+)\}", lambda name: self.known.get(name[1], self.known["id"]), text)

    async def ask(
        self,
        who: str,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        etag: str = "",
        prefer: str = "",
    ) -> httpx.Response:
        agency, _, worker = who.partition("/")
        headers = {
            **bearer(agency, *RIGHTS, *(["internal"] if who == SENDER else []), worker=worker or "worker-1"),
            "Idempotency-Key": f'"{uuid.uuid4()}"',
            **({"If-Match": etag} if etag else {}),
            **({"Prefer": prefer} if prefer else {}),
        }
        url = self.arena.onefriend.url(service) + path
        for _ in range(TRIES):
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.arena.onefriend.http.request(
                    method, url, headers=headers, json=body, timeout=8
                )
                if answer.status_code != AWAY:
                    return answer
            await asyncio.sleep(0.5)
        raise httpx.ConnectError(f"{service} does not answer {method} {path}")
