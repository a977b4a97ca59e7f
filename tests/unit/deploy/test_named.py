"""A database that is named and cannot be used: a sentence with the remedy, not a traceback."""

import asyncio

import pytest

from deploy.local import doctor
from deploy.local.place import Place
from deploy.local.processes import DidNotStart
from deploy.local.stack import Stack


@pytest.mark.parametrize(
    "url", ["postgresql://us:secret@127.0.0.1:1/postgres", "nonsense", "postgresql://[x"]
)
def test_what_is_wrong_with_a_named_database_is_said(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("ONEFRIEND_POSTGRES", url)
    home = tmp_path_factory.mktemp("home")
    stack = Stack(Place(home, home).made())
    with pytest.raises(DidNotStart, match="ONEFRIEND_POSTGRES: check") as said:
        stack.ensure_databases()
    assert "secret" not in str(said.value)
    finding = asyncio.run(doctor._postgres(stack))
    assert (finding.verdict, finding.remedy[:18]) == ("bad", "ONEFRIEND_POSTGRES")
