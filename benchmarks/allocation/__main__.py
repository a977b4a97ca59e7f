"""`python -m benchmarks.allocation [quick]`: decisions, teams, the meeting (quick: one meeting of five seconds)."""

from __future__ import annotations

import sys

from benchmarks.allocation.decisions import decisions, teams
from benchmarks.allocation.meeting import meeting
from benchmarks.allocation.staffing import staffing

decisions()
staffing()
teams()
if "quick" in sys.argv:
    meeting((5.0,), (7,))
else:
    meeting()
