"""A batch is answered line by line; one bad line loses no other, and reading never waits for the reader of the answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.intake import batches
from services.intake.batches import BadTable, Table, TooMuch


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def collect(source: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in source]


async def test_lines_may_be_cut_anywhere() -> None:
    found = await collect(batches.lines(chunks(b"a\nb", b"b\n\n", b"c"), most=100, line_most=10))
    assert found == [(1, b"a"), (2, b"bb"), (4, b"c")]


@pytest.mark.parametrize("parts", [[b"x" * 20], [b"x" * 11 + b"\n"], [b"ok\n"] * 50])
async def test_too_much_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(TooMuch):
        await collect(batches.lines(chunks(*parts), most=100, line_most=10))


async def test_answers_come_in_order_though_lines_end_in_any() -> None:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        await asyncio.sleep(0.02 if number == 1 else 0)
        return {"line": number}

    source = batches.lines(chunks(b"a\nb\nc\n"), most=100, line_most=10)
    assert await collect(batches.answers(source, handle)) == [{"line": 1}, {"line": 2}, {"line": 3}]


async def test_lines_before_one_that_is_too_long_are_answered() -> None:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        return {"line": number}

    source = batches.lines(chunks(b"a\nb\n" + b"x" * 50), most=100, line_most=10)
    found = await collect(batches.answers(source, handle))
    assert [answer["line"] for answer in found] == [1, 2, None]
    assert found[-1]["status"] == 413


async def test_everything_is_read_although_nobody_reads_the_answers() -> None:
    read = 0

    async def endless() -> AsyncIterator[tuple[int, bytes]]:
        nonlocal read
        for number in range(900):
            read += 1
            yield number, b"x"

    async def handle(number: int, line: bytes) -> dict[str, Any]:
        return {"line": number}

    found = batches.answers(endless(), handle)
    await anext(found)
    await asyncio.sleep(0.05)
    assert read == 900
    assert len([answer async for answer in found]) == 899


def test_columns_are_paths() -> None:
    table = Table("reference,version,parties.0.name.surname,parties.1.name.full,notes")
    assert table.document('A1,2,"O\'Neil, Mary",,"two ""words"""') == (
        b'{"reference":"A1","version":"2","parties":[{"name":{"surname":"O\'Neil, Mary"}}],"notes":"two \\"words\\""}'
    )


@pytest.mark.parametrize("header", ["a..b", "a,", ".".join("abcdefghij"), "parties.99.name", 'a,"b'])
def test_a_header_that_is_no_list_of_paths_is_refused(header: str) -> None:
    with pytest.raises(BadTable):
        Table(header)


@pytest.mark.parametrize("record", ["1", "1,2,3", '1,"2'])
def test_a_record_that_does_not_fit_is_refused(record: str) -> None:
    with pytest.raises(BadTable):
        Table("a,b").document(record)


def test_columns_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadTable):
        Table("a,a.b").document("1,2")


async def test_a_quoted_cell_goes_over_lines_and_bytes_that_are_no_utf8_are_noticed() -> None:
    source = batches.lines(chunks(b'h\n"a\nb"\n\xff\nc\n'), most=100, line_most=20)
    assert await collect(batches.records(source, line_most=50)) == [
        (1, "h"),
        (2, '"a\nb"'),
        (4, None),
        (5, "c"),
    ]
