"""`import paytechuz_core`: no framework, no SQLAlchemy, and little more than pydantic alone."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Final

from benchmarks import Measurement

ROUNDS: Final = 25
LIMIT: Final = 1.3
OURS: Final = "import paytechuz_core"
THEIRS: Final = "from pydantic import BaseModel, TypeAdapter"
FOREIGN: Final = ("alembic", "django", "fastapi", "flask", "sqlalchemy", "starlette", "werkzeug")


def python(program: str) -> str:
    """Run a program in an interpreter of its own."""
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def seconds(statement: str) -> float:
    """Time one statement there, without the interpreter's own start."""
    return float(python(f"from time import process_time as now; started = now(); {statement}; print(now() - started)"))


def measure() -> Iterator[Measurement]:
    foreign = python(f"{OURS}; import sys; print(*set({FOREIGN}).intersection(sys.modules))").split()
    yield Measurement(
        "import paytechuz_core: frameworks among what it imports", len(foreign), at_most=0, detail=" ".join(foreign)
    )

    time_ours, time_theirs = partial(seconds, OURS), partial(seconds, THEIRS)
    pairs = [(time_ours(), time_theirs()) for _ in range(ROUNDS)]
    ours, theirs = (median(times) for times in zip(*pairs, strict=True))
    yield Measurement(
        "import paytechuz_core, to importing pydantic",
        median(mine / yours for mine, yours in pairs),
        at_most=LIMIT,
        detail=f"{ours * 1000:.0f} ms to {theirs * 1000:.0f} ms",
    )
