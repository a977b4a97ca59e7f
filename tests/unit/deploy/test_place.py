"""The folder of a stack: ports, secrets, locks."""

import socket
from pathlib import Path

import pytest

from deploy.local.place import DRAWN_RANGE, PREFERRED_PORTS, Busy, Place
from deploy.local.processes import DidNotStart


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "a place, with a comma"
    return Place(home, home).made()


def test_ports_are_chosen_once(place: Place) -> None:
    chosen = place.ports()
    assert Place(place.home, place.home).ports() == chosen
    assert len(set(chosen.values())) == len(chosen)


def test_ports_that_only_programs_use_are_below_those_of_outgoing_connections(place: Place) -> None:
    for name in ("postgres", "kafka", "kafka-controller", "smtp"):
        assert DRAWN_RANGE[0] <= place.ports()[name] < DRAWN_RANGE[1] < 32_768


def test_a_preferred_port_that_is_taken_is_left_alone(place: Place) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", PREFERRED_PORTS["intake"]))
        except OSError:
            pass  # somebody else has it: the better
        else:
            other.listen()
        assert place.ports()["intake"] != PREFERRED_PORTS["intake"]


def test_a_moved_port_stays_moved(place: Place) -> None:
    before = place.ports()["kafka"]
    after = place.move_port("kafka")
    assert after != before
    assert place.ports()["kafka"] == after


def test_a_secret_is_made_once_and_nobody_else_can_read_it(place: Place) -> None:
    secret = place.secret("postgres")
    assert len(secret) >= 40
    assert place.secret("postgres") == secret
    assert place.secret("other") != secret
    assert (place.home / "secrets.json").stat().st_mode & 0o077 == 0


def test_what_was_recorded_first_stays_unless_it_is_to_be_replaced(place: Place) -> None:
    assert place.record("key", "first", replace=False) == "first"
    assert place.record("key", "second", replace=False) == "first"
    assert place.record("key", "third") == "third"
    assert place.recorded("key") == "third"
    assert place.recorded("nothing") is None


def test_a_lock_that_is_held_says_what_that_means(place: Place) -> None:
    with (
        place.lock("supervisor"),
        pytest.raises(Busy, match="already runs here"),
        place.lock("supervisor", wait=False, busy="it already runs here"),
    ):
        pass


def test_shared_locks_do_not_exclude_each_other_but_the_last_can_tell(place: Place) -> None:
    with place.lock("users", shared=True):
        with place.lock("users", shared=True, wait=False):
            pass
        with pytest.raises(Busy), place.lock("users", wait=False):
            pass
    with place.lock("users", wait=False):
        pass


def test_a_folder_that_cannot_be_written_to_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "inside"):
        with pytest.raises(DidNotStart, match="ONEFRIEND_HOME"):
            Place(home, home).made()
