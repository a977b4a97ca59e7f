"""A permit of nobody: what a new connection has to read and to plan for it, before somebody waits for it."""

from __future__ import annotations

from datetime import UTC, datetime

from services.consent import store
from services.consent.handlers import CASE, PERSON
from shared.contracts.consent import PermitEnded, PermitGranted
from shared.runtime.service import Service
from shared.runtime.work import Work

_GRANTED = PermitGranted(
    permit="", fence=0, case="", party="", agency="", purpose="approach", channel="phone",
    expires=datetime(2000, 1, 1, tzinfo=UTC),
)  # fmt: skip


async def rehearse(_: Service, work: Work) -> None:
    """Run the statements by which a permit is granted, redeemed and ended. The transaction is rolled back."""
    await store.glimpse(work, [PERSON.kind], [""])
    await store.permit_with_ledgers(work, "")
    await work.lock((CASE, ""), (PERSON, ""))
    await store.surroundings(work, [], 0, [""], "", [""])
    await store.successions(work)
    await store.permit_of(work, "")
    await store.permits_of(work, [""])
    store.stage(work, "", _GRANTED, work.now)
    store.stage(work, "", PermitEnded(permit="another", how="expired"), work.now)
