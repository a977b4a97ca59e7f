"""Every test can ask for the real database and broker: see tests/support/stack.py. And what each folder of tests costs."""

from collections import defaultdict

import pytest
from _pytest.terminal import TerminalReporter

pytest_plugins = ["tests.support.stack"]

# Seconds of test time that a folder may take on two quiet cores; with two workers the wall time is about half of the sum. A
# machine that is busy takes longer, so going over is shown and fails nothing: what fails on time fails at random.
BUDGETS = {
    "unit": 240,
    "architecture": 20,
    "contract": 10,
    "model": 60,
    "exploration": 40,
    "histories": 40,
    "simulation": 300,
    "integration": 900,
    "e2e": 240,
    "partnerships": 150,
    "faults": 90,
}


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Print the time that each folder took, beside its budget."""
    spent: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                parts = report.nodeid.split("/")
                spent[parts[1] if len(parts) > 1 else parts[0]] += report.duration
    if spent:
        terminalreporter.write_sep("-", "seconds by folder (budget)")
        for folder, seconds in sorted(spent.items()):
            budget = BUDGETS.get(folder)
            over = "  over" if budget is not None and seconds > budget else ""
            terminalreporter.write_line(f"{folder:<14} {seconds:6.0f}  ({budget or 'none'}){over}")
