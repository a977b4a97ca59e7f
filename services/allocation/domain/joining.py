"""Two cases were one: the one goes on as the other."""

from __future__ import annotations

from services.allocation.domain.evolve import Story
from services.allocation.domain.route import BY_HUB, pause
from services.allocation.domain.state import CaseState
from shared.contracts.cases import CaseClosed


def join(story: Story, into: str) -> None:
    """This case and another were one: it goes on as the other.

    Told of one that is over already too. A "no" that ended it binds in the other, and it does not begin again by itself.
    """
    if story.state.closed is None or story.state.joined_into != into:
        story.tell(CaseClosed(reason="joined", joined_into=into))


def take_over_pause(story: Story, joined: CaseState) -> None:
    """What the hub had paused before it was joined to this case is paused."""
    paused = joined.pauses.get(BY_HUB)
    if paused is not None and joined.closed is None and BY_HUB not in story.state.pauses:
        pause(story, BY_HUB, paused.reason)
