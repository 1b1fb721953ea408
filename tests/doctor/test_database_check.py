"""What the doctor says of a database that it cannot read, or that changes meanwhile."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bot.doctor.database_check import check_database
from bot.storage import inspection

CHECKED_AS_ANOTHER_USER = """
import json, os, sys
from pathlib import Path
from bot.doctor.database_check import check_database
os.setuid(10001)
print(json.dumps(check_database(Path(sys.argv[1]))))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that everybody may enter, with a database and its lock."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file in ("bot.db", "bot.db.lock"):
            (folder / file).touch(mode=0o600)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize(
    ("mode", "failed"),
    [(0o600, "database_folder"), (0o644, "database_folder"), (0o666, "database_lock")],
)
def test_another_user_than_that_of_the_bot_is_told_so_once(
    folder: Path, mode: int, failed: str
) -> None:
    """Whatever of the files this user may read."""
    (folder / "bot.db").chmod(mode)
    folder.chmod(0o777 if failed == "database_lock" else 0o755)
    done = subprocess.run(
        [sys.executable, "-c", CHECKED_AS_ANOTHER_USER, str(folder / "bot.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    [(name, text, remedy)] = [one[1:] for one in json.loads(done.stdout) if one[0] == "fail"]
    assert name == failed
    assert "uid 10001" in text + remedy


def test_damage_counts_only_if_it_is_seen_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot that starts while the file is read changes it under the reader."""
    with closing(sqlite3.connect(folder / "bot.db")) as database:
        database.execute("VACUUM")
    read, readings = inspection._contents, []

    def changed_meanwhile(path: Path) -> inspection.Contents:
        readings.append(path)
        if len(readings) == 1:
            raise sqlite3.DatabaseError("a page of two versions")
        return read(path)

    monkeypatch.setattr(inspection, "_contents", changed_meanwhile)
    found = {one.name: one.level for one in check_database(folder / "bot.db")}
    assert found["database_contents"] == "ok"
    assert len(readings) == 2
