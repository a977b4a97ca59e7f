"""`python -m benchmarks [flow] | identity | allocation`: what is measured, beside what it is measured against."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

OTHERS = {
    "identity": "who is who, on people whom the model has not seen (needs `make bench-identity`'s environment)",
    "allocation": "decisions, teams and the meeting of the policies",
}


def main() -> int:
    """Run one of them."""
    name = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "flow"
    if name in OTHERS:
        # Each has options of its own, and reads them as if it had been called by itself.
        sys.argv = [f"benchmarks.{name}", *sys.argv[2:]]
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=False)
        return 0
    others = "\n".join(f"  {other:<12}{text}" for other, text in OTHERS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="The whole flow on real processes: cost, latency, throughput, ratios within one run.",
        epilog=f"other benchmarks, by name with their own options:\n{others}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", default="flow", choices=["flow"], help="flow (the default)")
    parser.add_argument("--scale", type=float, default=1.0, help="a shorter (0.1) or longer (2) run")
    parser.add_argument("--stored", type=int, default=0, help="measure again after storing so many people")
    parser.add_argument("--no-usual", action="store_true", help="leave out the usual way")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    args = parser.parse_args()
    from benchmarks.flow.report import Size, flow  # noqa: PLC0415 - the other benchmarks need none of it

    return flow(Size(args.scale, args.stored, not args.no_usual), args.json)


if __name__ == "__main__":
    sys.exit(main())
