"""`python -m tests.fuzz 5000000`: search for an input that does what none may do, led by the code that it reaches.

Every target runs in a process of its own, which a crash or a hang ends; its inputs begin with the corpus. Most of the
new ones are spoiled calls (`messages`), the others bytes changed blindly by libFuzzer. What was found, and any new
input that reached new code, is left in `.fuzz/`.

`python -m tests.fuzz keep` brings what is in `.fuzz/` into the corpus, without what reaches nothing more.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, Final

import atheris

searching = len(sys.argv) > 2  # in a process of its own; the others need not be led, nor tell what leads them
with (
    atheris.instrument_imports(include=["paytechuz_core"], exclude=["paytechuz_core.testing"])
    if searching
    else nullcontext()
):
    from tests.fuzz import messages
    from tests.fuzz.targets import FUZZED, Fuzzed

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"
FOUND: Final = ROOT / ".fuzz"
HANG: Final = 10
"""After how many seconds an input hangs; the slowest should take some milliseconds."""

FRESH: Final = {"payme": messages.payme_call, "click": messages.click_call}


def main(runs: int) -> int:
    """Run every target, tell what became of the inputs, and fail where one of them found something."""
    failed = []
    for fuzzed in FUZZED:
        folder = FOUND / fuzzed.name
        folder.mkdir(parents=True, exist_ok=True)
        share, start = runs * fuzzed.share // 100, time.monotonic()
        with (folder / "log").open("w") as log:
            ended = subprocess.run(
                [sys.executable, "-m", "tests.fuzz", fuzzed.name, *options(fuzzed, share)],
                cwd=ROOT, check=False, stdout=log, stderr=log, env={**os.environ, "FUZZ_RUNS": str(share)},
            )  # fmt: skip
        seconds = time.monotonic() - start
        outcomes = Counter(json.loads((folder / "outcomes").read_text()) if (folder / "outcomes").exists() else {})
        told = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
        print(f"{fuzzed.name}: {outcomes.total()} inputs in {seconds:.0f} s: {told}", flush=True)
        if ended.returncode or outcomes.total() < share:
            failed.append(fuzzed.name)
            print(f"{fuzzed.name}: FOUND SOMETHING, or did not finish; the end of {folder / 'log'}:")
            print("".join((folder / "log").read_text(errors="replace").splitlines(keepends=True)[-40:]))
    return len(failed)


def options(fuzzed: Fuzzed, runs: int) -> list[str]:
    """Tell libFuzzer what it must know: new inputs go to the first folder, the others are only read."""
    found = FOUND / fuzzed.name / "new"
    found.mkdir(exist_ok=True)
    (FOUND / fuzzed.name / "outcomes").unlink(missing_ok=True)
    return [
        f"-runs={runs}", f"-timeout={HANG}", f"-max_len={fuzzed.longest}", "-rss_limit_mb=2048",
        f"-artifact_prefix={FOUND / fuzzed.name}/", "-print_final_stats=1", str(found), str(CORPUS / fuzzed.name),
    ]  # fmt: skip


def search(fuzzed: Fuzzed, arguments: list[str]) -> None:
    """Run one target in this process, which it ends."""
    outcomes: Counter[str] = Counter()
    runs = int(os.environ.get("FUZZ_RUNS", "0"))

    def judge(data: bytes) -> None:
        outcomes[fuzzed.target(data)] += 1
        if outcomes.total() >= runs or outcomes.total() % 50_000 == 0:
            (FOUND / fuzzed.name / "outcomes").write_text(json.dumps(outcomes))

    def mutated(data: bytes, longest: int, seed: int) -> bytes:
        random = Random(seed)
        if random.random() < 0.4:
            return bytes(atheris.Mutate(data, longest))
        if fuzzed.name in FRESH and random.random() < 0.5:
            data = FRESH[fuzzed.name](random)
        return fuzzed.spoil(data, random)[:longest]

    atheris.Setup([sys.argv[0], *arguments], judge, custom_mutator=mutated)
    atheris.Fuzz()


def keep() -> None:
    """Bring what a run found into the corpus: of all inputs the smallest that together reach what any of them does."""
    for fuzzed in FUZZED:
        corpus, found = CORPUS / fuzzed.name, FOUND / fuzzed.name / "new"
        inputs = sorted({path.read_bytes() for folder in (corpus, found) for path in folder.glob("*")}, key=len)
        kept, known = [], set[tuple[str, int]]()
        for data in inputs:
            if (lines := reached(fuzzed, data)) - known:
                known |= lines
                kept.append(data)
        shutil.rmtree(corpus, ignore_errors=True)
        corpus.mkdir(parents=True)
        for data in kept:
            (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)
        print(f"{fuzzed.name}: {len(kept)} of {len(inputs)} inputs kept")


def reached(fuzzed: Fuzzed, data: bytes) -> set[tuple[str, int]]:
    """Give the lines of the core that an input reaches, with what became of it."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        del argument
        if event == "call" and "paytechuz_core" not in frame.f_code.co_filename:
            return None
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        outcome = fuzzed.target(data)
    finally:
        sys.settrace(None)
    return {*lines, (outcome, 0)}


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["keep"]:
            keep()
        case [number] if number.isdecimal():
            sys.exit(main(int(number)))
        case [str(chosen), *arguments] if chosen in {each.name for each in FUZZED}:
            search(next(each for each in FUZZED if each.name == chosen), arguments)
        case _:
            sys.exit(__doc__)
