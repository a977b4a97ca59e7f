"""The dashboard's stylesheets and scripts, taken from npm packages and committed: made by `python -m deploy.local.assets`.

A page loads nothing from elsewhere. Taken out of the stylesheets: the crown's crest and the font GDS Transport, whose
licences are for GOV.UK alone; text is set in Arial instead.
"""

import hashlib
import re
import sys
import tarfile
import tempfile
from pathlib import Path

from deploy.local.npm import Package, fetch
from deploy.local.place import CHECKOUT

FOLDER = CHECKOUT / "services" / "dashboard" / "static" / "vendor"
LIST = FOLDER / "vendored.txt"
HEADER = """\
# Made by `python -m deploy.local.assets`, never by hand: file, its SHA-256, the package, the file in the package.
"""
GOVUK = Package(
    "govuk-frontend",
    "6.6.0",
    "xctkWrQvLnvQt7fyjQ3MGX9S0wz0x0RQuLxCeoXF+s8EjGICG81/DYQGKN5qgO+0KVT12UAaRwUsGY6fulRcRg==",
)
MOJ = Package(
    "@ministryofjustice/frontend",
    "11.1.0",
    "1bkUbm2M4DpcpX/pOmumQRBsbJco9W2RwmJv5h/ZC/ZqrAOn2/FjpF+A7vS0gs7oMXBizr9O5huDrSYbLx73Nw==",
)
HTMX = Package(
    "htmx.org",
    "2.0.11",
    "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA==",
)
SSE = Package(
    "htmx-ext-sse",
    "2.2.4",
    "LJmxVhykyflBWgh5PvbRidcyuqMHlgfajmmzumvKctv9puvsufeH6OaejSMZTNTnEI8O2wXXn4ZZtBdpEMqmEQ==",
)
TAKEN: tuple[tuple[Package, str, str], ...] = (
    (GOVUK, "dist/govuk/govuk-frontend.min.css", "govuk-frontend.css"),
    (GOVUK, "dist/govuk/govuk-frontend.min.js", "govuk-frontend.js"),
    (MOJ, "moj/moj-frontend.min.css", "moj-frontend.css"),
    (MOJ, "moj/assets/images/icon-document.svg", "images/icon-document.svg"),
    (MOJ, "moj/assets/images/icon-progress-tick.svg", "images/icon-progress-tick.svg"),
    (HTMX, "dist/htmx.min.js", "htmx.js"),
    (HTMX, "LICENSE", "htmx-LICENSE.txt"),
    (SSE, "dist/sse.min.js", "htmx-sse.js"),
    (SSE, "LICENSE", "htmx-sse-LICENSE.txt"),
)


def without_reserved(text: str) -> str:
    """A stylesheet without the reserved font, without images that are not taken, its other images beside it."""
    text = re.sub(r"@font-face\{[^}]*\}", "", text)
    text = re.sub(r"\"?GDS Transport\"?,", "", text)
    taken = {target for _, _, target in TAKEN}

    def image(found: re.Match[str]) -> str:
        return f"url(images/{found[1]})" if f"images/{found[1]}" in taken else "none"

    text = re.sub(r"url\([\"']?/assets/(?:images|fonts)/([^)\"']+)[\"']?\)", image, text)
    return re.sub(r"/\*# sourceMappingURL=[^*]*\*/", "", text)


def make() -> None:
    """Fetch the packages, and write the files and their list."""
    (FOLDER / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    with tempfile.TemporaryDirectory() as draft:
        archives = {package: fetch(package, Path(draft)) for package in {taken[0] for taken in TAKEN}}
        for package, source, target in TAKEN:
            with tarfile.open(archives[package]) as archive:
                member = archive.extractfile(f"package/{source}")
                assert member is not None  # noqa: S101 -- it is a file, or KeyError
                content = member.read()
            if target.endswith(".css"):
                content = without_reserved(content.decode()).encode()
            elif target.endswith(".js"):
                content = re.sub(rb"//# sourceMappingURL=.*", b"", content)
            (FOLDER / target).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            lines.append(f"{target} {digest} {package.name}@{package.version} {source}")
    LIST.write_text(HEADER + "\n".join(lines) + "\n")
    sys.stdout.write(LIST.read_text())


if __name__ == "__main__":
    make()
