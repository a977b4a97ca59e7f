"""Whatever the matcher can say of a field has words on the page, and is marked as what it is."""

import pytest

from services.dashboard import comparing, words
from services.intake.matching.levels import LEVELS

AGREES = {
    *(
        "same",
        "same_short_form",
        "another_of_theirs",
        "form_of_it",
        "forms_of_one",
        "part_of_it",
        "former_name",
    ),
    *("same_first_of_january", "same_as_forename", "one_name_at_home", "one_surname_at_home"),
}


@pytest.mark.parametrize("level", sorted({level for levels in LEVELS.values() for level in levels}))
def test_every_level_has_words_and_is_marked_as_what_it_is(level: str) -> None:
    assert level in words.LEVELS
    kinds = [level in AGREES, level in comparing._NEARLY, level in comparing._DIFFERS]
    assert sum(kinds) == 1, level


def test_every_field_has_words() -> None:
    assert set(LEVELS) <= set(words.FIELDS)


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("gone", "It said that it is gone for good"),
        ("status-503", "It answered with the error 503"),
        ("smtp-550", "The mail server refused it (answer 550)"),
        ("topic-KafkaTimeoutError", "Topic KafkaTimeoutError"),
        (None, "Not recorded"),
    ],
)
def test_why_a_delivery_failed_is_told_in_words(code: str | None, text: str) -> None:
    assert words.undelivered(code) == text
