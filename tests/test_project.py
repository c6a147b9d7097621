"""Sentences about the project itself: what is promised in one file and kept in another."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_the_lower_bounds_that_are_tested_are_the_ones_that_are_promised() -> None:
    project = PROJECT["project"]
    promised = [project["dependencies"], *project["optional-dependencies"].values()]
    bounds = {floor(Requirement(line)) for lines in promised for line in lines}
    lines = (ROOT / "tests/lower-bounds.txt").read_text().splitlines()
    pins = {floor(Requirement(line)) for line in lines if line and not line.startswith("#")}
    assert pins == bounds


def floor(requirement: Requirement) -> tuple[str, Version]:
    (specifier,) = requirement.specifier
    assert specifier.operator in {">=", "=="}, f"{requirement} is more than a lower bound"
    return requirement.name.lower(), Version(specifier.version)


def test_every_package_is_shipped_typed_and_checked() -> None:
    here = {folder.name for folder in ROOT.glob("paytechuz*") if folder.is_dir()}
    assert set(PACKAGES) == here
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == here
    assert set(PROJECT["tool"]["mypy"]["files"]) >= here
    assert {path.parent.name for path in ROOT.glob("paytechuz*/py.typed")} == here


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only version control knows what belongs to the packages")
def test_no_page_and_no_template_is_left_out_of_the_wheel() -> None:
    # The wheel has all that is in its packages, but for what .gitignore names.
    listing = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard", *PACKAGES]
    left_out = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True)
    assert left_out.stdout == ""


FRAMEWORKS = {"alembic", "django", "fastapi", "flask", "greenlet", "sqlalchemy", "starlette", "werkzeug"}


def test_the_core_can_be_imported_without_any_framework_or_database() -> None:
    seen = subprocess.run(
        [sys.executable, "-c", "import sys, paytechuz_core; print(*sys.modules, sep='\\n')"],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = {name.partition(".")[0] for name in seen.stdout.split()}
    assert "paytechuz_core" in loaded
    assert loaded.isdisjoint(FRAMEWORKS)


# Joined here, so that this file does not name them either.
REGISTRIES = [".".join(parts) for parts in [("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org")]]


@pytest.mark.parametrize("registry", REGISTRIES)
def test_no_file_names_a_package_registry(registry: str) -> None:
    # Which registry a machine uses is its owner's business: it may be a mirror.
    pattern = re.compile(re.escape(registry).encode())
    assert [path.relative_to(ROOT).as_posix() for path in files() if pattern.search(path.read_bytes())] == []


def files(folder: Path = ROOT) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and path.name != "__pycache__" and (not path.name.startswith(".") or path.name == ".ci"):
            yield from files(path)
