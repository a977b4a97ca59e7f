"""What the topics tell: the review queue has changed. Nothing is kept; the page asks intake, which knows."""

from __future__ import annotations

from services.dashboard.board import Board
from shared.contracts.envelope import Envelope, Payload
from shared.contracts.people import PersonHeld, PersonHoldLifted, PersonLinked, PersonUnlinked
from shared.contracts.referrals import ReferralHeld, ReferralHoldLifted
from shared.runtime.handlers import Handlers
from shared.runtime.work import Work

REVIEWS = "reviews"
OF_REVIEWS: tuple[type[Payload], ...] = (
    PersonHeld,
    PersonHoldLifted,
    PersonLinked,
    PersonUnlinked,
    ReferralHeld,
    ReferralHoldLifted,
)


def handlers_for(board: Board) -> Handlers:
    """Return the handlers that ring a board's bell."""
    handlers = Handlers()

    async def queue_changed(work: Work, _event: Envelope) -> None:
        work.after_commit(lambda: board.changed(REVIEWS))

    for payload in OF_REVIEWS:
        handlers.event(payload, locks=lambda _event: [])(queue_changed)
    return handlers
