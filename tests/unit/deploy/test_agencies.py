"""The agencies that a fresh stack has."""

from pathlib import Path

import pytest

from deploy.local import agencies
from deploy.local.agencies import Agency, Invalid
from deploy.local.clients import Clients
from deploy.local.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, tmp_path).made()


def test_every_agency_of_a_shipped_policy_has_credentials(place: Place) -> None:
    agencies.ensure_clients(place)
    known = agencies.known(place)
    assert {"beacon", "hertfordshire-constabulary", "victims-first-northumbria", "sussex-police"} <= {
        a.id for a in known
    }
    assert set(Clients(place).all()) == {agency.id for agency in known}


def test_who_co_ordinates_decides_as_a_hub(place: Place) -> None:
    access = {agency.id: agency.access for agency in agencies.known(place)}
    assert access["herts-rj-coordinator"] == "hub"
    assert access["victims-first-northumbria"] == "hub"
    assert access["beacon"] == "agency"


def test_an_agency_without_areas_has_its_partnerships(place: Place) -> None:
    areas = {agency.id: agency.areas for agency in agencies.known(place)}
    assert areas["beacon"] == ("hertfordshire",)
    assert areas["yot-gateshead"] == ("gateshead",)


def test_credentials_are_not_changed_by_a_second_start(place: Place) -> None:
    agencies.ensure_clients(place)
    secret = Clients(place).put("beacon", "agency", ["contact"])
    agencies.ensure_clients(place)
    assert Clients(place).authenticate("beacon", secret)


def test_an_added_agency_is_remembered_and_replaces_its_like(place: Place) -> None:
    agencies.remember(place, Agency(id="new-one", name="New", kind="provider"))
    agencies.remember(place, Agency(id="beacon", name="Beacon of another county", kind="victim_care"))
    names = {agency.id: agency.name for agency in agencies.known(place)}
    assert names["new-one"] == "New"
    assert names["beacon"] == "Beacon of another county"


@pytest.mark.parametrize(
    ("agency", "says"),
    [
        (Agency(id="x", name="X", kind="police"), "2 to 60 lower case"),
        (Agency(id="Two Words", name="X", kind="police"), "2 to 60 lower case"),
        (Agency(id="good", name="X", kind="circus"), "kind circus is not one of police"),
    ],
)
def test_an_agency_that_cannot_be_says_what_would_be_right(place: Place, agency: Agency, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        agencies.remember(place, agency)
