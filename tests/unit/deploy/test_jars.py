"""The broker's jars: what is not what the committed list says is never run."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.processes import DidNotStart

GOOD = b"these are the bytes of a jar"


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository of ours, and a list with one jar of it: org.example:thing:1.0."""
    root = tmp_path / "mirror"
    folder = root / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(GOOD)
    (tmp_path / "good").write_bytes(GOOD)
    list_ = tmp_path / "jars.txt"
    list_.write_text(f"# comment\norg.example:thing:1.0 {jars.digest(tmp_path / 'good')}\n")
    monkeypatch.setattr(jars, "LIST", list_)
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ONEFRIEND_MAVEN", f"http://127.0.0.1:{server.server_address[1]}/")
    yield folder / "thing-1.0.jar"
    server.shutdown()
    server.server_close()


def _ensure(folder: Path) -> list[Path]:
    return jars.ensure(folder, lambda _done, _of: None)


def test_a_missing_jar_is_fetched(mirror: Path, tmp_path: Path) -> None:
    (jar,) = _ensure(tmp_path / "jars")
    assert jar.read_bytes() == GOOD


def test_a_jar_that_differs_is_fetched_again(mirror: Path, tmp_path: Path) -> None:
    (jar,) = _ensure(tmp_path / "jars")
    jar.write_bytes(GOOD[:10])
    assert _ensure(tmp_path / "jars")[0].read_bytes() == GOOD


def test_a_jar_that_is_there_is_not_fetched(mirror: Path, tmp_path: Path) -> None:
    _ensure(tmp_path / "jars")
    mirror.unlink()
    assert _ensure(tmp_path / "jars")[0].read_bytes() == GOOD


def test_a_jar_with_other_bytes_is_refused_by_name_and_not_left_behind(mirror: Path, tmp_path: Path) -> None:
    mirror.write_bytes(b"something else")
    with pytest.raises(DidNotStart, match=r"org.example:thing:1.0 .*SHA-256") as refused:
        _ensure(tmp_path / "jars")
    assert "ONEFRIEND_MAVEN" in str(refused.value)
    assert list((tmp_path / "jars").iterdir()) == []


def test_the_brokers_own_parts_have_one_version() -> None:
    versions = {
        jar.coordinate.split(":")[2]
        for jar in jars.locked()
        if jar.coordinate.startswith("org.apache.kafka:")
    }
    assert versions == {"4.3.1"}


def test_no_two_jars_share_a_file() -> None:
    names = [jar.filename for jar in jars.locked()]
    assert len(set(names)) == len(names) == 46
