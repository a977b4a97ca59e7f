"""Batches of referrals: NDJSON and CSV, read bit by bit, each line answered by itself; one bad line loses no other."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

import msgspec

from shared.runtime.problems import FieldError, Problem

Line = tuple[int, bytes]
Answer = dict[str, Any]
# Lines on their way at once: enough to fill the doorstep's transactions, few enough that a batch does not crowd out others.
AT_ONCE: Final = 1000
_DEEP: Final = 8
_PLACES: Final = frozenset(str(number) for number in range(60))  # positions in a list


class TooMuch(Exception):
    """The batch is larger than allowed."""


async def lines(chunks: AsyncIterator[bytes], *, most: int, line_most: int) -> AsyncIterator[Line]:
    """Yield (number, line) for each line that is not blank. Raises TooMuch.

    A line that is too long is cut one byte after `line_most`, by which it is known: those after it are read all the same.
    """
    number, total, rest = 0, 0, b""
    async for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise TooMuch(
                f"it has more than {most} bytes; send the lines that have no answer as another batch"
            )
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line[: line_most + 1]
        rest = rest[: line_most + 1]  # what is cut off here is of the same line, until its end comes
    if rest.strip():
        yield number + 1, rest


async def answers(
    source: AsyncIterator[Line], handle: Callable[[int, bytes], Awaitable[Answer]]
) -> AsyncIterator[Answer]:
    """Yield an answer for each line, in order, while lines are still being read.

    Reading never waits for the reader of the answers: a client that sends everything before it reads anything would
    otherwise wait for us while we wait for it.
    """
    queue: asyncio.Queue[asyncio.Task[Answer] | Answer | None] = asyncio.Queue()
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, line: bytes) -> Answer:
        try:
            return await handle(number, line)
        finally:
            room.release()

    async def read() -> None:
        try:
            async for number, line in source:
                await room.acquire()
                queue.put_nowait(asyncio.create_task(one(number, line)))
        except TooMuch as why:
            what, _, remedy = str(why).partition("; ")
            problem = Problem(
                413, "too-large", "The batch is too large.", errors=[FieldError("body", what, remedy)]
            )
            queue.put_nowait({"line": None, **problem.body()})
        finally:
            queue.put_nowait(None)

    reading = asyncio.create_task(read())
    try:
        while (item := await queue.get()) is not None:
            yield item if isinstance(item, dict) else await item
        await reading
    finally:
        reading.cancel()


# ----------------------------------------------------------------------------------------------------------------- CSV


class BadTable(Exception):
    """A CSV line that fits no header; says what is wrong and what would be right."""


class Table:
    """Turns the records of a CSV file into JSON documents. Columns are paths: `parties.0.name.surname`."""

    def __init__(self, header: str) -> None:
        """Raises BadTable."""
        header = header.removeprefix("\ufeff")
        if "\r" in header:
            raise BadTable("its lines end with CR alone; end them with LF or CR LF")
        if "," not in header and (";" in header or "\t" in header):
            raise BadTable("its cells are not separated by commas; save it as CSV with commas between them")
        self._paths = [column.strip().split(".") for column in cells(header)]
        seen: set[str] = set()
        for number, path in enumerate(self._paths, 1):
            numbers = {part for part in path if part.isnumeric()}
            if not all(path) or len(path) > _DEEP or not numbers <= _PLACES:
                raise BadTable(f"column {number} of the header is no path like parties.0.name.surname")
            if (column := ".".join(path)) in seen:
                raise BadTable(
                    f"column {number} of the header is there already; nobody can say which one counts"
                )
            seen.add(column)

    def document(self, record: str) -> bytes | None:
        """Return one record as JSON, without empty cells; None of a row of nothing else. Raises BadTable."""
        row = cells(record)
        if not any(cell.strip() for cell in row):  # Excel leaves such rows where something was deleted
            return None
        if len(row) != len(self._paths):
            raise BadTable(f"it has {len(row)} cells where the header has {len(self._paths)}")
        tree: dict[str, Any] = {}
        for path, cell in zip(self._paths, row, strict=True):
            if cell.strip():
                _put(tree, path, cell.strip())
        return msgspec.json.encode(_lists(tree))


def cells(record: str) -> list[str]:
    """Return the cells of one record. Raises BadTable, also for text that is several records."""
    try:
        rows = list(csv.reader(io.StringIO(record), strict=True))
    except csv.Error:
        rows = []
    if len(rows) != 1:
        raise BadTable("the quotes do not match; double a quote inside a quoted cell")
    return rows[0]


def _put(tree: dict[str, Any], path: list[str], cell: str) -> None:
    *way, last = path
    for part in way:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise BadTable("two columns contradict each other: one is a part of the other")
        tree = below
    if last in tree:
        raise BadTable("two columns contradict each other: one is a part of the other")
    tree[last] = cell


def _lists(tree: Any) -> Any:  # noqa: ANN401 - JSON
    """Turn objects whose fields are all numbers into lists, without gaps."""
    if not isinstance(tree, dict):
        return tree
    if tree and tree.keys() <= _PLACES:
        return [_lists(tree[key]) for key in sorted(tree, key=int)]
    return {key: _lists(value) for key, value in tree.items()}


async def records(
    source: AsyncIterator[Line], *, line_most: int
) -> AsyncIterator[tuple[int, str | BadTable]]:
    """Yield (number of its first line, record) of a CSV file, or what is wrong: a quoted cell may go over several lines."""
    joiner = _Joiner(line_most)
    async for number, line in source:
        text = _text(line, line_most)
        if isinstance(text, BadTable):
            for record in joiner.apart():  # nothing may be taken for whole from which a line is missing
                yield record
            yield number, text
            continue
        for record in joiner.add(number, text):
            yield record
    for record in joiner.apart():
        yield record


def _text(line: bytes, most: int) -> str | BadTable:
    if len(line) > most:
        return BadTable(f"it is longer than {most} bytes")
    try:
        return line.rstrip(b"\r").decode()
    except UnicodeDecodeError:
        return BadTable("it is not UTF-8; save the file as CSV in UTF-8")


class _Joiner:
    """Joins the lines of a record whose quotes are open.

    A quote too many would join its line with all that follow, up to the next quote, and lose them. So several lines are a
    record only if they have as many cells as the header; if not, the first stands for itself, and the others are read anew.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._width = 0
        self._clear()

    def _clear(self) -> None:
        self._lines: list[tuple[int, str]] = []
        self._size = self._quotes = 0

    def add(self, number: int, text: str) -> Iterator[tuple[int, str]]:
        """Take a line; yield what is whole with it."""
        self._lines.append((number, text))
        self._size += len(text)
        self._quotes += text.count('"')
        if self._quotes % 2:
            if self._size > self._most:
                yield from self.apart()
            return
        record = "\n".join(line for _, line in self._lines)
        found = _width(record)
        if len(self._lines) > 1 and (not found or found != (self._width or found)):
            yield from self.apart()
            return
        self._width = self._width or found
        yield self._lines[0][0], record
        self._clear()

    def apart(self) -> Iterator[tuple[int, str]]:
        """Yield the first line by itself, and what the others are without it."""
        lines = self._lines
        self._clear()
        yield from lines[:1]
        for number, text in lines[1:]:
            yield from self.add(number, text)


def _width(record: str) -> int:
    try:
        return len(cells(record))
    except BadTable:
        return 0
