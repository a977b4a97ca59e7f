"""A referral is accepted as a whole or refused with every bad field named; odd people are people."""

import json
import re
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intake import importing
from services.intake.batches import Table
from services.intake.crypto import Keyring
from services.intake.documents import BadDocument
from services.intake.doorstep import Doorstep
from services.intake.facts import warnings
from services.intake.referral import Referral
from services.intake.remedies import Fault, faults
from tests.support.referrals import offender, party, referral

TODAY = date(2026, 11, 21)


def refused(document: object) -> list[Fault]:
    """Return the faults of a document that must be refused."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ValidationError) as wrong:
        Referral.model_validate_json(raw)
    return faults(wrong.value)


def faults_of(document: dict[str, Any]) -> list[Fault]:
    """Return the faults of a document, and none for one that is accepted: then its warnings must be sayable."""
    try:
        sent = Referral.model_validate_json(json.dumps(document))
    except ValidationError as error:
        return faults(error)
    msgspec.json.encode([fault._asdict() for fault in warnings(sent, TODAY)])
    return []


def accepted(document: object) -> Referral:
    return Referral.model_validate_json(json.dumps(document))


def without(document: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != field}


def test_a_full_referral_is_accepted_and_normalised() -> None:
    sent = accepted(referral(parties=[party(addresses=[{"postcode": "sg12ab"}]), offender()]))
    assert sent.parties[0].addresses[0].postcode == "SG1 2AB"
    assert sent.parties[0].phones[0].number == "+447700900123"
    assert sent.parties[1].identifiers.pnc == "1979/0163001B"


@pytest.mark.parametrize(
    "field", ["reference", "incident", "parties", "stage", "initiated_by", "prior_contact"]
)
def test_what_is_missing_is_named(field: str) -> None:
    assert Fault(field, "it is missing", "add it") in refused(without(referral(), field))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"version": "1"}, "version"),
        ({"version": 0}, "version"),
        ({"version": 10**30}, "version"),
        ({"version": 1.5}, "version"),
        ({"stage": "prison"}, "stage"),
        ({"surprise": 1}, "surprise"),
        ({"reference": ""}, "reference"),
        ({"reference": "a" * 101}, "reference"),
        ({"reference": "a\x00b"}, "reference"),
        ({"prior_contact": "never"}, "prior_contact"),
        ({"prior_contact": {"by": "police", "answer": "not_now"}}, "prior_contact.not_before"),
        ({"prior_contact": {"by": "a b", "answer": "yes"}}, "prior_contact.by"),
        ({"parties": []}, "parties"),
        ({"parties": [offender()]}, "parties"),
        ({"parties": [{"role": "harmed"}]}, "parties[0]"),
        ({"parties": [party(phones=[{"number": "07700"}])]}, "parties[0].phones[0].number"),
        ({"parties": [party(emails=[{"address": "x"}])]}, "parties[0].emails[0].address"),
        ({"parties": [party(addresses=[{"postcode": "NOWHERE"}])]}, "parties[0].addresses[0].postcode"),
        ({"parties": [party(identifiers={"pnc": "2001/0171310S"})]}, "parties[0].identifiers.pnc"),
        ({"parties": [party(identifiers={"cro": "85227/65G"})]}, "parties[0].identifiers.cro"),
        ({"parties": [party(name={})]}, "parties[0].name"),
        ({"parties": [party(name={"full": "a" * 201})]}, "parties[0].name.full"),
        (
            {"parties": [party(safe_contact={"hours": {"start": "20:00", "until": "09:00"}})]},
            "parties[0].safe_contact.hours",
        ),
        ({"parties": [party(contact_person={"name": {"full": "X"}})]}, "parties[0].contact_person.relation"),
        ({"incident": {"offence_class": "burglary", "reference": "1/24"}}, "incident.force"),
        ({"incident": {"offence_class": "burglary", "on": "2024-02-30"}}, "incident.on"),
        ({"incident": {"offence_class": "murder"}}, "incident.offence_class"),
        ({"dates": {"plea": "tomorrow"}}, "dates.plea"),
        ({"lawful_basis": None}, "lawful_basis"),
    ],
)
def test_each_bad_field_is_named_with_a_remedy(change: dict[str, Any], path: str) -> None:
    found = refused({**referral(), **change})
    assert path in {fault.path for fault in found}, found
    assert all(fault.what and fault.remedy for fault in found)


def test_all_bad_fields_are_named_at_once() -> None:
    bad = referral(
        version="x", stage="y", parties=[party(phones=[{"number": "1"}]), offender(identifiers={"pnc": "1"})]
    )
    assert {fault.path for fault in refused(bad)} == {
        "version", "stage", "parties[0].phones[0].number", "parties[1].identifiers.pnc",
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5_000,
        b'{"reference":"\\ud800"}',
        b"1e999999",
        b'"\x00"',
    ],
)
def test_bytes_that_are_no_referral_are_refused(raw: bytes) -> None:
    found = refused(raw)
    assert found
    assert all(fault.remedy for fault in found)


def test_no_error_repeats_what_was_sent() -> None:
    secret = "Zebedee Quillfeather"
    bad = referral(
        reference=secret * 10,
        parties=[party(name={"full": secret, secret: secret}, phones=[{"number": secret}], date_of_birth=5)],
        stage=secret,
        **{secret: secret},
    )
    assert "Zebedee" not in repr(refused(bad))


@pytest.mark.parametrize(
    "name",
    [
        {"full": "X"},
        {"forenames": "O", "surname": "Ng"},
        {"full": "李小龍"},
        {"full": "محمد بن سلمان"},
        {"surname": "MacDonald-O\u2019Neill"},
        {"full": "Ana 🌻 Flor"},
        {"surname": "a" * 200},
        {"full": "NOT KNOWN"},
        {"full": "DUPLICATE_Smith"},
    ],
)
def test_odd_names_are_names(name: dict[str, str]) -> None:
    sent = accepted(referral(parties=[party(name=name)]))
    assert sent.parties[0].name is not None


@pytest.mark.parametrize(
    "born",
    [
        "1971-02-30",
        "0000-00-00",
        "31/02/1980",
        "1900-01-01",
        "1970-01-01",
        "2030-01-01",
        "1700-05-05",
        "unknown",
        "९९९९",
    ],
)
def test_an_impossible_birth_date_is_accepted_and_warned_about(born: str) -> None:
    sent = accepted(referral(parties=[party(date_of_birth=born)]))
    assert sent.parties[0].date_of_birth == born
    assert [fault.path for fault in warnings(sent, TODAY)] == ["parties[0].date_of_birth"]
    assert born == "unknown" or born not in repr(warnings(sent, TODAY))


def test_no_more_than_a_name_is_accepted_and_warned_about() -> None:
    bare = {"role": "harmed", "name": {"full": "Mary Wells"}}
    assert [fault.path for fault in warnings(accepted(referral(parties=[bare])), TODAY)] == ["parties[0]"]


def test_an_offender_whom_nobody_has_identified_needs_no_name() -> None:
    accepted(referral(parties=[party(), {"role": "responsible", "identified": False}]))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(field=st.sampled_from(sorted(referral())), value=_JSON)
def test_whatever_stands_in_a_field_is_accepted_or_refused_with_a_remedy(field: str, value: object) -> None:
    found = faults_of({**referral(), field: value})
    assert all(fault.remedy for fault in found)


@settings(max_examples=150, deadline=None)
@given(
    field=st.sampled_from(
        ["name", "date_of_birth", "phones", "addresses", "identifiers", "safe_contact", "role"]
    ),
    value=_JSON,
)
def test_whatever_stands_in_a_party_is_accepted_or_refused_with_a_remedy(field: str, value: object) -> None:
    document = referral(parties=[{**party(), field: value}])
    assert all(fault.remedy for fault in faults_of(document))


def test_what_only_one_of_two_readers_takes_for_json_is_a_bad_referral() -> None:
    """A field given twice: the first value is read past, and is no JSON."""
    twice = b'{"version": NaN, ' + json.dumps(referral()).encode()[1:]
    door = Doorstep(Keyring([bytes(32)]), AsyncMock(), lambda: None)
    with pytest.raises(BadDocument) as refused:
        door.prepare("police", twice, TODAY)
    assert [fault.what for fault in refused.value.faults] == ["not JSON in UTF-8"]
    entry = {"register": "old", "record": "7", "agency": "beacon", "person": {"name": {"full": "Ann Wells"}}}
    with pytest.raises(BadDocument):
        importing.document(
            b'{"record": NaN, ' + json.dumps(entry | {"incident": {"offence_class": "burglary"}}).encode()[1:]
        )


TWICE = [
    (b'{"stage": "pre_sentence", ', ["stage"]),
    (b'{"st\\u0061ge": 1, ', ["stage"]),
    # An escaped quote in a value must not make up for the two that are missing.
    (b'{"version": 7, "version": 1, "notes": "\\u0022\\u0022", ', ["version"]),
    (b'{"parties": [{"phones": [], "phones": [{"number": "07700 900123"}]}], ', ["phones", "parties"]),
    (b'{"dates": {"plea": "2026-01-02", "plea": "2026-01-02"}, ', ["dates.plea"]),
    (b'{"notes": "a \\" and \\u0022 and \\n", ', []),
]


@pytest.mark.parametrize(("begins", "fields"), TWICE)
def test_a_field_that_is_there_twice_is_named(begins: bytes, fields: list[str]) -> None:
    """A reader would keep one of them, and what the other says would be lost."""
    door = Doorstep(Keyring([bytes(32)]), AsyncMock(), lambda: None)
    raw = begins + json.dumps(referral()).encode()[1:]
    with pytest.raises(BadDocument) if fields else nullcontext() as refused:
        door.prepare("police", raw, TODAY)
    assert [fault.path for fault in refused.value.faults] == fields if refused else not fields


def test_a_byte_order_mark_is_passed_over() -> None:
    door = Doorstep(Keyring([bytes(32)]), AsyncMock(), lambda: None)
    plain = json.dumps(referral()).encode()
    tags = {
        door.prepare("police", raw, TODAY)[0].content_tag
        for raw in (plain, plain.decode().encode("utf-8-sig"))
    }
    assert len(tags) == 1


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'{"reference": }', "at character 15"),
        (b'{\n "a": 1,\n}', "at line 3, character 1"),
        (b"\xff\xfe{", "at "),
    ],
)
def test_what_is_no_json_is_told_where(raw: bytes, where: str) -> None:
    (fault,) = refused(raw)
    assert fault.what.startswith("not JSON in UTF-8, " + where)


@pytest.mark.parametrize(("expires", "fields"), [("2026-05-01", ["agreement.expires"]), ("2026-05-02", [])])
def test_an_agreement_that_ended_before_it_was_given_is_refused(expires: str, fields: list[str]) -> None:
    given = {"scope": ["share"], "wording": "v1", "means": "written", "on": "2026-05-02", "recorded_by": "A"}
    found = faults_of(referral(agreement={**given, "expires": expires}))
    assert [fault.path for fault in found] == fields


def test_what_the_guide_shows_is_accepted() -> None:
    guide = (Path(__file__).parents[3] / "docs/referring.md").read_text()
    blocks = dict(re.findall(r"```(json|csv)\n(.*?)```", guide, re.DOTALL))
    header, row = blocks["csv"].splitlines()
    line = Table(header).document(row)
    assert line is not None
    door = Doorstep(Keyring([bytes(32)]), AsyncMock(), lambda: None)
    for raw, lax in ((blocks["json"].encode(), False), (line, True)):
        arrival, _ = door.prepare("police", raw, TODAY, lax=lax)
        assert arrival.warnings == "[]", "nothing in it is warned of"
