"""What the documents name exists: paths, and names in files written as `path.py:Name.method`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
# What is written as a path of the checkout: it begins with one of its folders.
_TOP = ("services/", "shared/", "deploy/", "tests/", "docs/", "benchmarks/", "requirements/", "bin/")


def named_in(path: Path, name: str) -> bool:
    """Say whether a Python file defines a name, `Class.method` included."""
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    for part in name.split("."):
        found = [node for node in body if part in _names(node)]
        if not found:
            return False
        body = list(getattr(found[0], "body", []))
    return True


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def mentions(document: Path) -> list[tuple[str, str]]:
    """Return every (path, name or "") that a document mentions in backticks."""
    found = []
    for text in _CODE.findall(document.read_text()):
        path, _, name = text.partition(":")
        if path.startswith(_TOP) and not set(path) & set(" <>*{"):
            found.append((path, name))
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_name_in_a_document_exists(document: Path) -> None:
    wrong = []
    for path, name in mentions(document):
        if not (ROOT / path).exists() or (name and not named_in(ROOT / path, name)):
            wrong.append(f"{path}:{name}")
    wrong += [link for link in _LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert not wrong, f"{document.relative_to(ROOT)} names what is not there: {wrong}"


def test_names_are_really_looked_up() -> None:
    assert len(mentions(ROOT / "docs/architecture.md")) > 60
    here = Path(__file__)
    assert named_in(here, "mentions")
    assert named_in(here, "DOCUMENTS")
    assert not named_in(here, "mentions.nothing")
    assert not named_in(here, "nothing")
