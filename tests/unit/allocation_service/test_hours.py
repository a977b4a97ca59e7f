"""How busy an agency is, with registered hours and without."""

from services.allocation.store.hours import Hours, Roster
from services.allocation.workforce.people import Facilitator


def registered(agency: str, used: int, capacity: int = 100) -> Hours:
    worker = f"{agency}-1"
    return Hours(worker, agency, None, capacity, used, Facilitator(id=worker, agency=agency))


def test_by_hours_where_they_are_registered() -> None:
    roster = Roster.of([registered("beacon", 30)])
    assert roster.load_of("beacon") == 0.3
    assert not roster.note_case("beacon"), "the hours count, and nothing beside them"
    assert roster.load_of("beacon") == 0.3


def test_by_open_cases_where_none_are_so_that_nobody_gets_them_all() -> None:
    roster = Roster.of([])
    turns = []
    for _ in range(6):
        turn = min(("crc", "nps", "vfn"), key=roster.load_of)
        turns.append(turn)
        assert roster.note_case(turn)
    assert turns == ["crc", "nps", "vfn", "crc", "nps", "vfn"]


def test_the_two_measures_can_be_compared_and_neither_is_ever_more_than_full() -> None:
    roster = Roster.of([registered("beacon", 50)])
    for _ in range(19):
        roster.note_case("nps")
    assert roster.load_of("nps") < roster.load_of("beacon")
    for _ in range(2):
        roster.note_case("nps")
    assert roster.load_of("nps") > roster.load_of("beacon")
    for _ in range(10_000):
        roster.note_case("nps")
    assert roster.load_of("nps") < 1


def test_open_cases_are_a_guess_until_one_in_ten_of_them_is() -> None:
    roster = Roster.of([])
    roster.cases["nps"] = 100
    for _ in range(11):
        assert roster.counted_lately()
        roster.note_case("nps")
    following = Roster.of([])
    following.cases, following.uncounted = roster.cases, roster.uncounted + roster.picks
    assert following.counted_lately()
    following.note_case("nps")
    assert not following.counted_lately()
