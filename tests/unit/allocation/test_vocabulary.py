"""The policies' words are those of the events: nothing that intake can say is unknown to a policy."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from services.allocation.policy.context import AGES
from services.allocation.policy.facts import DEADLINES
from services.allocation.policy.shapes import BY_NAME
from shared.contracts.agencies import AgencyKind
from shared.contracts.cases import CheckKind
from shared.contracts.envelope import Channel
from shared.contracts.people import PriorAnswer
from shared.contracts.referrals import AgeBand, Deadlines, Initiator, OffenceClass, Risk, Stage
from tests.unit.allocation.scenario import policies

VOCABULARY = policies().vocabulary


@pytest.mark.parametrize(
    ("contract", "condition"),
    [
        (OffenceClass, "offence"),
        (Stage, "stage"),
        (Initiator, "initiated_by"),
        (Risk, "responsible_risk"),
        (PriorAnswer, "harmed_prior_contact"),
        (PriorAnswer, "responsible_prior_contact"),
        (AgencyKind, "referred_by_kind"),
    ],
)
def test_every_word_of_the_events_is_a_value_of_its_condition(contract: Any, condition: str) -> None:
    assert set(get_args(contract)) <= VOCABULARY.attributes[condition].values


def test_the_lists_of_the_vocabulary_are_those_of_the_events() -> None:
    assert set(VOCABULARY.words["checks"]) == set(get_args(CheckKind))
    assert set(VOCABULARY.words["channels"]) == set(get_args(Channel))
    assert set(VOCABULARY.words["kinds"]) == set(get_args(AgencyKind))
    assert set(VOCABULARY.words["deadlines"]) == set(DEADLINES)
    assert set(Deadlines.__struct_fields__) <= set(DEADLINES)


def test_every_age_band_is_a_child_an_adult_or_unknown() -> None:
    assert set(get_args(AgeBand)) - set(AGES) == {"unknown"}
    assert set(AGES.values()) | {"unknown"} == VOCABULARY.attributes["harmed_age"].values


def test_every_word_list_that_a_field_names_is_there() -> None:
    for section in BY_NAME.values():
        for name, shape in section.fields.items():
            if shape.kind in {"word", "words"}:
                assert VOCABULARY.words.get(shape.of), (
                    f"{section.name}.{name} takes its words from '{shape.of}'"
                )
