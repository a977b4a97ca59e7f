"""Batches of referrals: NDJSON and CSV, read bit by bit, each line answered by itself; one bad line loses no other."""

from __future__ import annotations

import asyncio
import codecs
import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec

Line = tuple[int, bytes]
Answer = dict[str, Any]
# Lines on their way at once: enough to fill the doorstep's transactions, few enough that a batch does not crowd out others.
AT_ONCE: Final = 1000
_DEEP: Final = 8
_WIDE: Final = 60


class TooMuch(Exception):
    """The batch, or one of its lines, is larger than allowed."""


async def lines(chunks: AsyncIterator[bytes], *, most: int, line_most: int) -> AsyncIterator[Line]:
    """Yield (number, line) for each line that is not blank. Raises TooMuch; a line that is too long ends the batch."""
    number, total, rest = 0, 0, b""
    async for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise TooMuch(f"a batch has at most {most} bytes; send the rest as another")
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if len(line) > line_most:
                raise TooMuch(f"line {number} is longer than {line_most} bytes")
            if line.strip():
                yield number, line
        if len(rest) > line_most:
            raise TooMuch(f"line {number + 1} is longer than {line_most} bytes")
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
            queue.put_nowait({"line": None, "status": 413, "title": str(why)})
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
        row = _row(header.removeprefix("\ufeff"))
        self._paths = [column.strip().split(".") for column in row]
        for column, path in zip(row, self._paths, strict=True):
            if (
                not all(path)
                or len(path) > _DEEP
                or any(part.isdigit() and int(part) >= _WIDE for part in path)
            ):
                raise BadTable(f"column {len(column)} of the header is no path like parties.0.name.surname")

    def document(self, record: str) -> bytes:
        """Return one record as JSON; empty cells are left out. Raises BadTable."""
        cells = _row(record)
        if len(cells) != len(self._paths):
            raise BadTable(f"it has {len(cells)} cells where the header has {len(self._paths)}")
        tree: dict[str, Any] = {}
        for path, cell in zip(self._paths, cells, strict=True):
            if cell.strip():
                _put(tree, path, cell.strip())
        return msgspec.json.encode(_lists(tree))


def _row(text: str) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text), strict=True), [])
    except csv.Error:
        raise BadTable("the quotes do not match; double a quote inside a quoted cell") from None


def _put(tree: dict[str, Any], path: list[str], cell: str) -> None:
    *way, last = path
    for part in way:
        below = tree.setdefault(part, {})
        if not isinstance(below, dict):
            raise BadTable("two columns contradict each other: one is a part of the other")
        tree = below
    tree[last] = cell


def _lists(tree: Any) -> Any:  # noqa: ANN401 - JSON
    """Turn objects whose fields are all numbers into lists, without gaps."""
    if not isinstance(tree, dict):
        return tree
    if tree and all(key.isdigit() for key in tree):
        return [_lists(tree[key]) for key in sorted(tree, key=int)]
    return {key: _lists(value) for key, value in tree.items()}


async def records(source: AsyncIterator[Line], *, line_most: int) -> AsyncIterator[tuple[int, str | None]]:
    """Yield (number of its first line, record) of a CSV file: a quoted cell may go over several lines.

    None stands for bytes that are not UTF-8.
    """
    decode = codecs.getdecoder("utf-8")
    begun, text = 0, ""
    async for number, line in source:
        try:
            part = decode(line.rstrip(b"\r"))[0]
        except UnicodeDecodeError:
            yield number, None
            continue
        text, begun = (f"{text}\n{part}", begun) if text else (part, number)
        if len(text) > line_most:
            raise TooMuch(f"the record that begins in line {begun} is longer than {line_most} characters")
        if text.count('"') % 2 == 0:
            yield begun, text
            text = ""
    if text:
        yield begun, text
