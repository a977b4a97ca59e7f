"""Who delivers a case goes on with it when something else becomes known and others are less busy by then."""

from __future__ import annotations

import pytest

from services.allocation import policy
from tests.unit.allocation.scenario import facts_of, policies

SUSSEX = policies().partnership("sussex")
CASE = facts_of(
    {
        "areas": ["west-sussex"],
        "stage": "post_sentence",
        "initiated_by": "harmed",
        "referred_by": "sussex-police",
    }
)


def agencies(**loads: float) -> policy.Agencies:
    busy = {name.replace("_", "-"): load for name, load in loads.items()}
    return policy.Agencies(
        policy.Agency(id=agency.id, kind=agency.kind, load=busy.get(agency.id, 9.0))
        for agency in policy.Agencies.of(SUSSEX).all()
    )


@pytest.mark.parametrize(
    ("delivering", "deliverer", "why"),
    [
        (None, "victim-support-sussex", "the least loaded of"),
        ("sussex-pathways", "sussex-pathways", "who delivers already"),
        ("kss-crc", "victim-support-sussex", "the least loaded of"),  # not one that the rule names
    ],
)
def test_the_least_loaded_is_asked_only_where_nobody_delivers_yet(
    delivering: str | None, deliverer: str, why: str
) -> None:
    register = agencies(sussex_pathways=5.0, victim_support_sussex=1.0).going_on(delivering)
    decided = policy.decide(SUSSEX, CASE, register)
    assert decided.deliverer == deliverer
    assert any(why in sentence for sentence in decided.why)
