"""A release and a withdrawal of nobody: what a new connection has to read and to plan for them, before anybody waits."""

from __future__ import annotations

from services.intake.core import PERSON, intake_of
from services.intake.details import details_for
from services.intake.store import releases, withdrawals
from services.intake.store.withdrawals import RECORDED, Withdrawal
from shared.runtime.identifiers import new_id
from shared.runtime.service import Service
from shared.runtime.work import Work

_RELEASE = dict.fromkeys(("permit", "person", "party", "case", "agency", "worker"), "")


async def rehearse(service: Service, work: Work) -> None:
    """Run the statements of a release and of a withdrawal, in their order. The transaction is rolled back."""
    await releases.lock_points(work, "", "")
    await work.lock((PERSON, ""))
    await releases.look(work, "", "", "", "")
    await details_for(work, intake_of(service).keyring, [""], "", "phone")
    await releases.ask(work, {**_RELEASE, "fence": 0}, {}, [])
    await releases.hand_out(work, "", {}, "", None)
    withdrawal = Withdrawal(new_id(), RECORDED, "everything", None, "agency", "", "", (), work.now, None)
    await withdrawals.record(work, withdrawal, [""], via="person", worker=None)
    await withdrawals.read_bound(work, withdrawal.id)
    await withdrawals.in_force(work, withdrawal.id, [])
