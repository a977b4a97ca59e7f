"""A batch is answered line by line; one bad line loses no other, and reading never waits for the reader of the answers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from services.intake import batches
from services.intake.api import batches as api
from services.intake.batches import BadTable, Table, TooMuch


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def collect(source: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in source]


async def test_lines_may_be_cut_anywhere() -> None:
    found = await collect(batches.lines(chunks(b"a\nb", b"b\n\n", b"c"), most=100, line_most=10))
    assert found == [(1, b"a"), (2, b"bb"), (4, b"c")]


async def test_too_much_is_refused() -> None:
    with pytest.raises(TooMuch):
        await collect(batches.lines(chunks(*[b"ok\n"] * 50), most=100, line_most=10))


@pytest.mark.parametrize(
    "parts", [[b"x" * 20 + b"\nb"], [b"x" * 9, b"x" * 9, b"x\nb"], [b"x" * 11 + b"\n", b"b"]]
)
async def test_a_line_that_is_too_long_is_cut_and_loses_no_other(parts: list[bytes]) -> None:
    found = await collect(batches.lines(chunks(*parts), most=100, line_most=10))
    assert found == [(1, b"x" * 11), (2, b"b")]


async def test_answers_come_in_order_though_lines_end_in_any() -> None:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        await asyncio.sleep(0.02 if number == 1 else 0)
        return {"line": number}

    source = batches.lines(chunks(b"a\nb\nc\n"), most=100, line_most=10)
    assert await collect(batches.answers(source, handle)) == [{"line": 1}, {"line": 2}, {"line": 3}]


async def test_lines_before_a_batch_becomes_too_large_are_answered() -> None:
    async def handle(number: int, line: bytes) -> dict[str, Any]:
        return {"line": number}

    source = batches.lines(chunks(b"a\nb\n", b"x" * 100), most=100, line_most=10)
    found = await collect(batches.answers(source, handle))
    assert [answer["line"] for answer in found] == [1, 2, None]
    assert (found[-1]["status"], found[-1]["errors"][0]["field"]) == (413, "body")
    assert "no answer" in found[-1]["errors"][0]["remedy"]


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


@pytest.mark.parametrize(
    "header",
    [
        *("a..b", "a,", ".".join("abcdefghij"), "parties.99.name", 'a,"b', "reference,version,reference"),
        *("parties.\u00b2.role", "parties." + "9" * 5_000, "parties.00.role"),
    ],
)
def test_a_header_that_is_no_list_of_paths_is_refused(header: str) -> None:
    with pytest.raises(BadTable):
        Table(header)


@pytest.mark.parametrize("record", ["1", "1,2,3", '1,"2'])
def test_a_record_that_does_not_fit_is_refused(record: str) -> None:
    with pytest.raises(BadTable):
        Table("a,b").document(record)


@pytest.mark.parametrize("header", ["a,a.b", "a.b,a"])
def test_columns_that_contradict_each_other_are_refused(header: str) -> None:
    with pytest.raises(BadTable):
        Table(header).document("1,2")


@pytest.mark.parametrize(
    ("header", "said"), [("a;b.c", "commas"), ("a\tb", "commas"), ("a,b\r1,2\r3,4", "CR alone")]
)
def test_a_table_in_another_form_is_told_which(header: str, said: str) -> None:
    with pytest.raises(BadTable, match=said):
        Table(header)


@pytest.mark.parametrize("record", [",", " , ", ",,,,"])
def test_a_row_of_nothing_is_no_record(record: str) -> None:
    assert Table("a,b").document(record) is None


def test_several_records_are_not_taken_for_the_first_of_them() -> None:
    with pytest.raises(BadTable):
        Table("a,b").document('1,O"Brien\n2,O"Hara')


async def read(table: bytes) -> list[tuple[int, str]]:
    source = batches.lines(chunks(table), most=1_000, line_most=30)
    return [(number, str(record)) for number, record in await collect(batches.records(source, line_most=30))]


async def test_a_quoted_cell_goes_over_lines_and_bytes_that_are_no_utf8_are_noticed() -> None:
    found = await read(b'h\n"a\nb"\n\xff\nc\n')
    assert found == [(1, "h"), (2, '"a\nb"'), (4, "it is not UTF-8; save the file as CSV in UTF-8"), (5, "c")]


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        # A name or a height with a quote in it, once and twice: every line is still a record of its own.
        (['1,O"Brien', "2,x", "3,y"], [(2, '1,O"Brien'), (3, "2,x"), (4, "3,y")]),
        (['1,O"Brien', "2,x", '3,O"Hara'], [(2, '1,O"Brien'), (3, "2,x"), (4, '3,O"Hara')]),
        # A cell that is opened and never closed; and one that the next one seems to close.
        (['1,"x', "2,y", "3,z"], [(2, '1,"x'), (3, "2,y"), (4, "3,z")]),
        (['1,"x', "2,y", '3,"a\nb"'], [(2, '1,"x'), (3, "2,y"), (4, '3,"a\nb"')]),
        # More than one record may have; and a line within a record that nobody can read.
        (['1,"x', *["2,yyyyyyy"] * 4], [(2, '1,"x'), *[(n, "2,yyyyyyy") for n in (3, 4, 5, 6)]]),
        (
            ['1,"x', "\udcff", 'y"'],
            [(2, '1,"x'), (3, "it is not UTF-8; save the file as CSV in UTF-8"), (4, 'y"')],
        ),
        (["1," + "x" * 40, "2,y"], [(2, "it is longer than 30 bytes"), (3, "2,y")]),
    ],
)
async def test_a_bad_record_of_a_table_loses_no_other(lines: list[str], found: list[tuple[int, str]]) -> None:
    table = "\n".join(["a,b", *lines]).encode(errors="surrogateescape")
    assert await read(table) == [(1, "a,b"), *found]


async def test_a_line_that_fails_for_a_reason_of_ours_is_answered_like_any_other() -> None:
    service = Mock()
    service.doorstep.post = AsyncMock(side_effect=LookupError("Mary Wells"))
    answer = await api._one(service, "police", 3, b"{}", lax=False)
    assert (answer["line"], answer["status"]) == (3, 500)
    assert "Wells" not in str(answer)
