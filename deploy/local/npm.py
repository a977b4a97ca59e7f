"""Packages from npm, by its own client, each verified against a committed hash: for maintainers and for tests.

Nothing that a running service needs is fetched this way.
"""

import base64
import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import DidNotStart

PATIENCE = 300  # seconds for one package


@dataclass(frozen=True)
class Package:
    """One package and what its archive must hash to, as npm's own lock files say it (SHA-512, base64)."""

    name: str
    version: str
    sha512: str


def fetch(package: Package, folder: Path) -> Path:
    """The package's archive (.tgz) in a folder, verified.

    Raises:
        DidNotStart: without npm, or if it cannot be fetched, or is not what it was.
    """
    wanted = f"{package.name}@{package.version}"
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        try:
            command = ["npm", "pack", wanted, "--silent", "--ignore-scripts", "--pack-destination", draft]
            done = subprocess.run(
                command, cwd=draft, check=False, timeout=PATIENCE, capture_output=True, text=True
            )
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise DidNotStart(f"{wanted} needs npm to be fetched: {type(error).__name__}") from None
        found = list(Path(draft).glob("*.tgz"))
        if done.returncode or not found:
            raise DidNotStart(f"{wanted} could not be fetched by npm: {done.stderr.strip()[-300:]}")
        digest = base64.b64encode(hashlib.sha512(found[0].read_bytes()).digest()).decode()
        if digest != package.sha512:
            raise DidNotStart(f"{wanted}: its SHA-512 is {digest}, and {package.sha512} was expected")
        return found[0].replace(folder / f"{package.name.replace('/', '-').strip('@')}-{package.version}.tgz")
