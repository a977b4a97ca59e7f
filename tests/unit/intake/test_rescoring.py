"""What other weights would change, of people in memory. All people here are invented."""

from services.intake.matching import Person, Record, load, normalise
from services.intake.rescoring import Snapshot, changes

MOVED: Person = {
    "addresses": [{"postcode": "TS1 3QA"}],
    "phones": ["07700 900987"],
    "emails": ["mary@example.net"],
}


def mary(**more: object) -> Record:
    return normalise({"forenames": "Mary Ann", "surname": "Wells", **more})  # type: ignore[typeddict-item]


def found(snapshot: Snapshot) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (change.kind, change.person, change.decision.reasons)
        for change in changes(snapshot, load(), lambda *_: None)
    ]


def test_two_records_that_agree_do_not_join_people_who_contradict_each_other() -> None:
    """One record of the newer person is like the older one's; another was born thirty years before."""
    older = mary(date_of_birth="1984-03-17", **MOVED)
    snapshot = Snapshot({"a": [older], "b": [mary(date_of_birth="1951-12-25"), mary(**MOVED)]}, records=3)
    assert ("in_doubt", "b", ("parent_and_child",)) in found(snapshot)
    assert "joined" not in [kind for kind, _, _ in found(snapshot)]
    assert found(Snapshot({"a": [older], "b": [mary(**MOVED)]}, records=2)) == [
        ("joined", "b", ("enough_evidence",))
    ]


def test_whom_a_person_told_apart_is_not_joined_over_somebody_linked_with_them() -> None:
    people = {
        "a": [mary(date_of_birth="1984-03-17")],
        "c": [mary(**MOVED)],
        "d": [mary(**MOVED, date_of_birth="1984-03-17")],
    }
    linked = {"a": "a", "c": "a"}
    assert found(Snapshot(people, linked, records=3)) == [("joined", "d", ("enough_evidence",))]
    told_apart = {("d", "a"): 99.0, ("a", "d"): 99.0}
    assert found(Snapshot(people, linked, told_apart, records=3)) == []


def test_whom_a_referral_names_beside_each_other_is_not_joined_by_better_weights() -> None:
    """A father and a son, held when they came: `apply` would have joined them, with nobody looking."""
    people = {"father": [mary(**MOVED)], "son": [mary(**MOVED)]}
    waiting = {"son": "r1"}
    assert found(Snapshot(people, open=waiting, records=2)) == [("cleared_same", "son", ("enough_evidence",))]
    beside = {"father": {"son"}, "son": {"father"}}
    assert found(Snapshot(people, open=waiting, beside=beside, records=2)) == []
    assert found(Snapshot(people, beside=beside, records=2)) == [("in_doubt", "son", ("named_beside",))]
    born = {who: [mary(date_of_birth="1984-03-17", **MOVED)] for who in people}
    assert found(Snapshot(born, beside=beside, records=2)) == [("joined", "son", ("enough_evidence",))]
