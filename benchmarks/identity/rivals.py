"""What Onefriend's matcher is measured against, on the same streams: an exact rule, a police-style one, scored pairs."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from benchmarks.identity.stream import Best

Row = Mapping[str, str]
Key = tuple[str, ...]

_SOUNDEX = {
    letter: digit
    for digit, letters in enumerate(("bfpv", "cgjkqsxz", "dt", "l", "mn", "r"), 1)
    for letter in letters
}


def soundex(name: str) -> str:
    """The phonetic code of police and census systems: smith and smyth are S530."""
    if not name:
        return ""
    code, last = name[0], _SOUNDEX.get(name[0])
    for letter in name[1:]:
        digit = _SOUNDEX.get(letter)
        if digit and digit != last:
            code += str(digit)
        if letter not in "hw":
            last = digit
    return (code + "000")[:4]


class Rules:
    """A matcher that joins whoever shares one of a record's keys, the latest first: it knows no score and no doubt.

    `invented` are people who are stored before everybody else, known as -1, -2, …
    """

    def __init__(
        self, keys: Callable[[Row], list[Key]], rows: Sequence[Row], invented: Iterable[Row] = ()
    ) -> None:
        self._keys = [keys(row) for row in rows]
        wanted = {key for of_one in self._keys for key in of_one}
        self._invented = {
            key: -1 - number for number, row in enumerate(invented) for key in keys(row) if key in wanted
        }

    def begin(self) -> None:
        """A store of the invented people."""
        self._index = dict(self._invented)

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""
        for key in self._keys[record]:
            if key in self._index:
                return Best(self._index[key], 0.0)
        return None

    def add(self, record: int) -> None:
        """Store it."""
        for key in self._keys[record]:
            self._index[key] = record


def exact(row: Row) -> list[Key]:
    """First name, surname and birth date equal."""
    name = (row["first_name"], row["surname"], row["dob"])
    return [name] if all(name) else []


def police_style(row: Row) -> list[Key]:
    """Surname as heard and birth date; or surname, initial and postcode."""
    surname, initial = row["surname"].lower(), row["first_name"][:1].lower()
    born, postcode = row["dob"], row.get("postcode", "")
    found: list[Key] = []
    if surname and born:
        found.append((soundex(surname), born))
    if surname and initial and postcode:
        found.append((surname, initial, postcode))
    return found


class Pairs:
    """A matcher whose scores were computed beforehand, as Splink does: bits for each pair that its blocking found.

    `invented`: for a record the bits and the number (-1, -2, …) of the invented person whom it is most like.
    """

    def __init__(
        self, pairs: Iterable[tuple[float, int, int]], invented: Mapping[int, tuple[float, int]] | None = None
    ) -> None:
        self._near: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for bits, one, other in pairs:
            self._near[one].append((bits, other))
            self._near[other].append((bits, one))
        self._invented = invented or {}

    def begin(self) -> None:
        """A store of the invented people."""
        self._stored: set[int] = set()

    def best(self, record: int) -> Best | None:
        """The best candidate; None for nobody."""
        found = [pair for pair in self._near.get(record, ()) if pair[1] in self._stored]
        if record in self._invented:
            found.append(self._invented[record])
        bits, whom = max(found, default=(0.0, None))
        return None if whom is None else Best(whom, bits)

    def add(self, record: int) -> None:
        """Store it."""
        self._stored.add(record)
