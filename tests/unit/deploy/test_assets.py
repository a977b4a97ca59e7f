"""The dashboard's committed stylesheets and scripts are those that the list says, without what is reserved."""

import hashlib

from deploy.local.assets import FOLDER, LIST, without_reserved


def test_every_committed_file_is_what_the_list_says() -> None:
    lines = [line.split() for line in LIST.read_text().splitlines() if not line.startswith("#")]
    for name, digest, *_ in lines:
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
    listed = {line[0] for line in lines} | {LIST.name, "LICENCES.txt"}
    assert {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()} == listed


def test_no_crest_no_reserved_font_and_nothing_from_elsewhere() -> None:
    for path in FOLDER.rglob("*"):
        if path.suffix in {".css", ".js"}:
            text = path.read_text()
            assert "GDS Transport" not in text
            assert "@font-face" not in text
            assert "govuk-crest" not in text
            assert "url(http" not in text


def test_what_is_not_taken_is_not_asked_for() -> None:
    font = "@font-face{font-family:GDS Transport;src:url(/assets/fonts/a.woff2)}"
    rule = '.a{font-family:"GDS Transport",arial;background:url(/assets/images/govuk-crest.svg)}'
    assert without_reserved(font + rule) == ".a{font-family:arial;background:none}"
