"""The real rules of consent and intake, as they are or with one line of their source replaced.

A wrong variant is the same source, read from the same files, with a piece of text replaced before it is compiled, imported
under another name. So nothing is copied, and a variant whose text is not found any more fails loudly.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("services.consent.domain", "services.intake.domain")


@dataclass(frozen=True)
class Patch:
    """A piece of source text that is replaced: `module` under services, `old` occurs exactly once."""

    module: str
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Return the source with the replacement. Raises ValueError if the text is not there once."""
        if source.count(self.old) != 1:
            message = (
                f"{self.module}: the text to replace occurs {source.count(self.old)} times: {self.old!r}"
            )
            raise ValueError(message)
        return source.replace(self.old, self.new)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `<prefix>.services.…` from the source of `services.…`, patched."""

    def __init__(self, prefix: str, patches: Sequence[Patch]) -> None:
        self._prefix = prefix
        self._patches: dict[str, list[Patch]] = {}
        for patch in patches:
            self._patches.setdefault(patch.module, []).append(patch)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self._prefix and not fullname.startswith(self._prefix + "."):
            return None
        inner = fullname.removeprefix(self._prefix).removeprefix(".")
        folder = ROOT.joinpath(*inner.split(".")) if inner else None
        if folder is None or folder.is_dir():
            return ModuleSpec(fullname, self, is_package=True)
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        inner = module.__name__.removeprefix(self._prefix).removeprefix(".")
        # What lies above the domain (the services' own __init__) is not needed.
        if not inner.startswith(PACKAGES):
            return
        path = ROOT.joinpath(*inner.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        source = path.read_text()
        for patch in self._patches.get(inner.removeprefix("services."), ()):
            source = patch.apply(source)
        source = source.replace("from services.", f"from {self._prefix}.services.")
        exec(compile(source, str(path), "exec"), module.__dict__)  # noqa: S102 - the project's own source


class Rules:
    """The modules of both services' rules, by their short names, as attributes."""

    def __init__(self, prefix: str = "") -> None:
        def module(name: str) -> Any:
            return importlib.import_module(f"{prefix}services.{name}")

        self.consent: Mapping[str, Any] = {
            name: module(f"consent.domain.{name}")
            for name in (
                "cases", "choices", "contact", "decision", "facts", "leads", "outcomes", "people", "permits", "standing",
                "state",
            )
        }  # fmt: skip
        self.intake: Mapping[str, Any] = {
            name: module(f"intake.domain.{name}") for name in ("people", "releases")
        }


def real() -> Rules:
    """Return the rules as they run."""
    return Rules()


_made = 0


def wrong(*patches: Patch) -> Rules:
    """Return the rules with these patches. Raises ValueError if a patch does not fit the source any more."""
    global _made  # noqa: PLW0603 - a name for each variant
    _made += 1
    prefix = f"wrong_variant_{_made}"
    finder = _Finder(prefix, patches)
    sys.meta_path.insert(0, finder)
    try:
        return Rules(prefix + ".")
    finally:
        sys.meta_path.remove(finder)
        for name in [n for n in sys.modules if n.startswith(prefix)]:
            del sys.modules[name]
