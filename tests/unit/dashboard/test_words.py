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
