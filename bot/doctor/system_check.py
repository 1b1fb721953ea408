"""Check what the program runs on: Python, certificates, packages, SQLite."""

import os
import platform
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bot.doctor.findings import Finding, fail, ok
from bot.storage.inspection import sqlite_version

# The packages that only an extra of pyproject.toml installs, and what the bot does with each.
EXTRAS: Final = {
    "files": ("pypdf", "PDFs are read"),
    "metrics": ("prometheus_client", "HEALTH_PORT has /metrics"),
    "postgres": ("asyncpg", "DATABASE_URL may name PostgreSQL"),
}
# SQLite fixed the bug (sqlite.org/wal.html#walresetbug) in these, and in all from the last one on.
WAL_RESET_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def check_system() -> list[Finding]:
    """Check Python, the trust store, the extras and SQLite."""
    return [
        ok("python", f"Python {platform.python_version()} on {platform.system()}."),
        judge_trust_store(ssl.get_default_verify_paths()),
        *_extras(),
        judge_sqlite(sqlite_version()),
    ]


def judge_trust_store(paths: ssl.DefaultVerifyPaths) -> Finding:
    """Look whether there are certificates to check those of Discord and the chat API with."""
    has_file, has_folder = bool(paths.cafile), bool(paths.capath)
    if has_file or (has_folder and any(Path(paths.capath).iterdir())):
        return ok("trust_store", "The system's certificate authorities were found.")
    named = os.environ.get(paths.openssl_cafile_env) or paths.openssl_cafile
    return fail(
        "trust_store",
        f"There are no certificate authorities at {named}, so no TLS connection can be checked.",
        "Install the system's package ca-certificates, or correct SSL_CERT_FILE.",
    )


def _extras() -> list[Finding]:
    return [
        ok(f"extra_{extra}", f"{does}: the extra [{extra}] is installed.")
        if find_spec(package) is not None
        else ok(f"extra_{extra}", f"The extra [{extra}] is not installed. With it, {does}.")
        for extra, (package, does) in EXTRAS.items()
    ]


def judge_sqlite(version: tuple[int, ...]) -> Finding:
    """Return what is known about this version of SQLite."""
    name = ".".join(map(str, version))
    if not has_wal_reset_bug(version):
        return ok("sqlite", f"SQLite {name}.")
    return ok(
        "sqlite",
        f"SQLite {name} has the WAL-reset bug: the database may be damaged if two programs write "
        "to it. The bot alone is safe. While it runs, read the file with sqlite3 -readonly only.",
    )


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Whether two writers of a write-ahead log may damage the database with this version."""
    if version < (3, 7, 0) or version >= WAL_RESET_FIXED[-1]:
        return False
    return not any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXED)
