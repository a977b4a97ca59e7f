"""How people reach an agency: what is taken, and what is sent back with a remedy."""

from __future__ import annotations

from dataclasses import asdict
from datetime import time
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from services.allocation.api.desks import WantedDesk
from services.allocation.domain import agencies
from services.allocation.domain.agencies import AgencyState
from shared.contracts.agencies import AgencyChanged, Desk, Worker
from shared.contracts.envelope import Hours

WEEKDAYS = {"days": [1, 2, 3, 4, 5], "start": "09:00", "until": "17:00"}
DESK = Desk(
    phone="01632 960001",
    email="desk@beacon.example",
    hours=(Hours(days=(1, 2), start=time(9), until=time(17)),),
)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("01632960001", "01632 960001"),
        ("+44 1632 960001", "01632 960001"),
        ("0808 157 0000", "0808 157 0000"),
        ("101", "101"),
        ("+353 20 910 0001", "+353 20 910 0001"),
    ],
)
def test_a_number_is_printed_as_it_is_dialled(typed: str, printed: str) -> None:
    assert WantedDesk.model_validate({"phone": typed}).told().phone == printed


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("phone", {"phone": "999"}),
        ("phone", {"phone": "960001"}),
        ("phone", {"phone": "01632 960001 ext 5"}),
        ("phone", {"phone": "ring us"}),
        ("email", {"email": "a@b.example, c@d.example"}),
        ("email", {"email": "a@b.example\nBcc: c@d.example"}),
        ("email", {"email": "Desk <a@b.example>"}),
        ("hours.0", {"phone": "101", "hours": [WEEKDAYS | {"until": "09:00"}]}),
        ("hours.0.days", {"phone": "101", "hours": [WEEKDAYS | {"days": []}]}),
        ("hours.0.days.0", {"phone": "101", "hours": [WEEKDAYS | {"days": [8]}]}),
        ("", {"hours": [WEEKDAYS]}),
        ("", {"email": "desk@beacon.example", "hours": [WEEKDAYS]}),
        ("", {}),
    ],
)
def test_what_nobody_could_ring_or_write_to_is_refused_by_name(field: str, sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        WantedDesk.model_validate(sent)
    assert {".".join(map(str, error["loc"])) for error in refused.value.errors()} == {field}


def test_the_days_are_told_in_order_and_once() -> None:
    sent = {"phone": "101", "hours": [WEEKDAYS | {"days": [5, 1, 1]}]}
    assert WantedDesk.model_validate(sent).told().hours == (
        Hours(days=(1, 5), start=time(9), until=time(17)),
    )


def test_a_worker_who_changes_leaves_the_desk_as_it_is() -> None:
    state = agencies.evolve(AgencyState(), AgencyChanged(name="Beacon", kind="victim_care", desk=DESK))
    [told] = agencies.change_worker(state, Worker(id="wendy"))
    assert isinstance(told, AgencyChanged)
    assert agencies.evolve(state, told).desk == DESK


def test_an_event_and_a_state_from_before_there_were_desks_are_read() -> None:
    old = msgspec.json.decode(b'{"name": "Beacon", "kind": "victim_care"}', type=AgencyChanged)
    assert old.desk is None
    stored = asdict(AgencyState(name="Beacon", kind="victim_care"))
    del stored["desk"]
    assert msgspec.convert(stored, AgencyState) == AgencyState(name="Beacon", kind="victim_care")
