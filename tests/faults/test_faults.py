"""Two histories of the many: `make faults` runs a rotating selection, `make faults-long` all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.__main__ import run
from tests.faults.faults import FAULTS
from tests.faults.tally import Tally
from tests.support.promise import Promise


@pytest.mark.timeout(1500)  # on a machine that does other things as well, a stack takes its time to start
async def test_the_promise_holds_while_consent_is_killed_and_its_database_cut(tmp_path: Path) -> None:
    tally = Tally()
    plans = [("kill consent",), ("drop consent-database", "kill intake")]
    await run(plans, tally, tmp_path / "tally.json", float("inf"), seed=3)
    assert not tally.broke_off
    assert not tally.stories, "\n\n".join(tally.stories)
    assert tally.harm == dict.fromkeys((promise.name for promise in Promise), 0)
    assert tally.counts["contacts, by the provider's log"], "nobody was contacted: nothing was shown"
    assert Tally.read(tmp_path / "tally.json") == tally


def test_the_faults_are_of_many_kinds() -> None:
    assert len({name.split()[0] for name in FAULTS}) >= 12
