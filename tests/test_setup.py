"""scripts/setup finds a Python of any name, or names the one that is needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "dirname", "cat", "cksum", "rm")
# A Python that says it is of another version; it does all but make an environment.
STUB = """#!/bin/sh
case "$1" in
-c) exec {python} -c "import sys; sys.version_info = ({version}, 0); exec(sys.argv[1])" "$2" ;;
--version) echo "Python {name}" ;;
*) exit 1 ;;
esac
"""


def set_up(folder: Path, *pythons: tuple[str, str]) -> str:
    """Return what scripts/setup says where there are these Pythons and no others."""
    programs = folder / "bin"
    programs.mkdir()
    for tool in TOOLS:
        where = shutil.which(tool)
        assert where is not None
        (programs / tool).symlink_to(where)
    for name, version in pythons:
        stub = programs / name
        numbers = version.replace(".", ", ")
        stub.write_text(STUB.format(python=sys.executable, version=numbers, name=version))
        stub.chmod(0o755)
    (folder / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", folder / "scripts")
    shutil.copy(ROOT / "pyproject.toml", folder)
    done = subprocess.run(
        [programs / "sh", folder / "scripts" / "setup"],
        env=os.environ | {"PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, "no environment was made"
    return done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("python3", "3.11"),
        ("python3", "3.14"),
        ("python3", "3.27"),
        ("python3.14", "3.14"),
        ("python", "3.15"),
    ],
)
def test_setup_uses_any_python_that_is_new_enough(tmp_path: Path, name: str, version: str) -> None:
    others = [("python3", "3.10")] if name != "python3" else []
    assert set_up(tmp_path, (name, version), *others) == f"Making .venv with Python {version} ..."


def test_setup_names_the_python_that_is_needed(tmp_path: Path) -> None:
    said = set_up(tmp_path, ("python3", "3.10"), ("python3.14", "3.9"))
    assert said == "Python 3.11 or newer is needed, and none was found. Install it and try again."
