"""A permit of nobody: what a new connection has to read and to plan for it, before somebody waits for it."""

from __future__ import annotations

from services.consent import store
from services.consent.handlers import CASE, PERSON
from shared.contracts.consent import PermitEnded
from shared.runtime.service import Service
from shared.runtime.work import Work


async def rehearse(_: Service, work: Work) -> None:
    """Run the statements by which a permit is granted, redeemed and ended. The transaction is rolled back."""
    await store.glimpse(work, [PERSON.kind], [""])
    await store.permit_with_ledgers(work, "")
    await work.lock((CASE, ""), (PERSON, ""))
    await store.surroundings(work, [], 0, [""], "", [""])
    await store.successions(work)
    await store.permit_of(work, "")
    await store.permits_of(work, [""])
    store.stage(work, "", PermitEnded(permit="", how="expired"), work.now)
