"""The grammar of the tree, held by machine: what each service has, what its rules may import, who may commit."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("intake", "consent", "allocation", "notifications")
# A name is a file, or a folder of that name where one file is too small a room.
FILES = ("__init__", "__main__", "service", "settings", "domain", "handlers", "store", "api", "migrations")
# A reader: it decides nothing and owns nothing, so it has no rules and no tables of its own, but pages and who is signed in.
READER = (
    "__init__",
    "__main__",
    "service",
    "settings",
    "handlers",
    "gateways",
    "sessions",
    "api",
    "migrations",
)


def sources(folder: Path) -> Iterator[Path]:
    """Return every Python file of the project below a folder."""
    return (path for path in sorted(folder.rglob("*.py")) if "__pycache__" not in path.parts)


def imports(path: Path) -> Iterator[str]:
    """Return the full names of what a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def named(service: str, name: str) -> list[Path]:
    """Return the file, or all files of the folder, that a service has under a name."""
    folder = ROOT / "services" / service
    return [folder / f"{name}.py"] if (folder / f"{name}.py").exists() else list(sources(folder / name))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", FILES)
def test_each_service_has_the_same_files(service: str, name: str) -> None:
    folder = ROOT / "services" / service
    assert (folder / f"{name}.py").exists() or (folder / name).is_dir(), f"services/{service} lacks {name}"


@pytest.mark.parametrize("name", [*READER, "templates", "static"])
def test_the_dashboard_has_the_files_of_a_reader(name: str) -> None:
    folder = ROOT / "services" / "dashboard"
    assert (folder / f"{name}.py").exists() or (folder / name).is_dir(), f"services/dashboard lacks {name}"


def test_the_dashboard_records_and_keeps_nothing() -> None:
    """What it shows comes by call and goes to a browser: no events of its own, no rows, no files."""
    for path in sources(ROOT / "services" / "dashboard"):
        if "migrations" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"record", "write", "write_text", "write_bytes", "execute"}, (
                    f"{path.relative_to(ROOT)}:{node.lineno} calls .{node.func.attr}()"
                )


@pytest.mark.parametrize("service", SERVICES)
def test_rules_import_only_the_standard_library_pydantic_and_the_contracts(service: str) -> None:
    allowed = {*sys.stdlib_module_names, "pydantic"}
    for path in named(service, "domain"):
        for name in imports(path):
            ours = name.startswith(("shared.contracts", f"services.{service}.domain"))
            assert ours or name.split(".")[0] in allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("service", SERVICES)
def test_rules_read_no_clock_and_draw_no_ids(service: str) -> None:
    forbidden = {"now", "today", "utcnow", "time", "uuid4", "uuid7", "random", "new_id", "getLogger"}
    for path in named(service, "domain"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in forbidden
            ):
                value = node.func.value
                module = value.id if isinstance(value, ast.Name) else ""
                assert module not in {"datetime", "date", "time", "uuid", "random", "logging"}, (
                    f"{path.relative_to(ROOT)}:{node.lineno} calls {module}.{node.func.attr}"
                )


def test_services_never_import_each_other() -> None:
    for service in (*SERVICES, "dashboard"):
        others = tuple(f"services.{other}" for other in (*SERVICES, "dashboard") if other != service)
        for path in sources(ROOT / "services" / service):
            for name in imports(path):
                assert not name.startswith(others), f"{path.relative_to(ROOT)} imports {name}"


def test_shared_imports_no_service() -> None:
    for path in sources(ROOT / "shared"):
        for name in imports(path):
            assert not name.startswith(("services", "deploy", "tests")), (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def test_only_the_unit_of_work_commits() -> None:
    """No service begins a transaction or commits one; in the runtime, migrations apart, only the unit of work does."""
    allowed = {ROOT / "shared/runtime/unit_of_work.py", ROOT / "shared/runtime/migrations.py"}
    for folder in ("services", "shared"):
        for path in sources(ROOT / folder):
            if path in allowed or "migrations" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    assert node.func.attr not in {"commit", "transaction"} or _harmless(node), (
                        f"{path.relative_to(ROOT)}:{node.lineno} calls .{node.func.attr}()"
                    )


def _harmless(node: ast.Call) -> bool:
    """Say whether a call is a Kafka consumer's commit of offsets (for show only), or a snapshot that can only be read."""
    assert isinstance(node.func, ast.Attribute)
    kafka = isinstance(node.func.value, ast.Name) and node.func.value.id == "consumer"
    return kafka or any(k.arg == "readonly" and ast.unparse(k.value) == "True" for k in node.keywords)


LONGEST_FILE = 420


def test_files_stay_readable() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("services", "shared", "deploy")
        for path in sources(ROOT / folder)
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE
    }
    assert not long, f"longer than {LONGEST_FILE} lines: {long}"


def test_every_rule_that_is_set_aside_has_its_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("services", "shared", "deploy", "tests", "benchmarks")
        for path in sources(ROOT / folder)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*noqa(:\s*[A-Z0-9, ]+)?$", line)
        # A test may hand over what the types forbid: that is often what it is about.
        or (folder not in ("tests", "benchmarks") and re.search(r"#\s*type: ignore(\[[a-z, -]+\])?$", line))
    ]
    assert not bare, f"# noqa or type: ignore without a reason: {bare}"


def test_no_token_is_made_when_a_file_of_tests_is_read() -> None:
    """It would live for five minutes, and the whole suite runs longer."""
    early = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(ROOT / "tests")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for call in ast.walk(node)
        if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in {"bearer", "token"}
    ]
    assert not early, f"tokens made too early: {early}"
