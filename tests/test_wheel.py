"""What a release is made of, and that it works where nothing else is installed.

The environment has the wheel and, of the packages, only those that the wheel names.
"""

import os
import signal
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Final
from urllib.request import urlopen
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot import __version__
from bot.arguments import parser
from bot.settings import Settings

ROOT: Final = Path(__file__).parents[1]
NAME: Final = "discord-chat-bot"
SECONDS: Final = 120
[COMMANDS] = ([*(action.choices or ())] for action in parser()._actions if action.dest == "command")


def checked(*words: str | Path, cwd: Path = ROOT) -> None:
    subprocess.run(words, cwd=cwd, check=True, capture_output=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the source distribution."""
    folder = tmp_path_factory.mktemp("release")
    checked(sys.executable, "-m", "hatchling", "build", "-d", folder)
    return folder


def needed(requirement: str, seen: set[str]) -> Iterator[str]:
    """Yield the names of what a requirement brings, each once, as this environment has them."""
    wanted = Requirement(requirement)
    extras = ("", *wanted.extras)
    for text in distribution(wanted.name).requires or ():
        one = Requirement(text)
        applies = not one.marker or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        if applies and str(one) not in seen:
            seen.add(str(one))
            yield one.name
            yield from needed(f"{one.name}[{','.join(one.extras)}]", seen)


def environment_with(requirement: str, folder: Path) -> Path:
    """Make an environment with the packages that *requirement* brings; return its Python."""
    venv.create(folder, with_pip=False)
    [packages] = folder.glob("lib/python*/site-packages")
    for name in {*map(canonicalize_name, needed(requirement, set()))}:
        files = distribution(name).files or ()
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (packages / top).symlink_to(str(distribution(name).locate_file(top)))
    return folder / "bin" / "python"


class Installed:
    """An environment with the wheel and what it needs."""

    def __init__(self, folder: Path, wheel: Path, requirement: str) -> None:
        python = environment_with(requirement, folder)
        pip = (sys.executable, "-m", "pip", "--python", python)
        checked(*pip, "install", "--no-deps", "--no-index", wheel, cwd=folder)
        self.program = folder / "bin" / NAME
        self.cwd = folder
        ours = {"PYTHONPATH", *(field.upper() for field in Settings.model_fields)}
        self.environment = {name: one for name, one in os.environ.items() if name not in ours}

    def ran(self, *words: str) -> tuple[str, str, int]:
        """Return the output, the errors and the exit code of a command."""
        done = subprocess.run(
            [self.program, *words],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return done.stdout, done.stderr, done.returncode


@pytest.fixture(scope="module")
def plain(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the program without extras."""
    [wheel] = release.glob("*.whl")
    return Installed(tmp_path_factory.mktemp("plain"), wheel, NAME)


@pytest.fixture(scope="module")
def playable(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Return the program with what the sandbox's page needs."""
    [wheel] = release.glob("*.whl")
    return Installed(tmp_path_factory.mktemp("playable"), wheel, f"{NAME}[sandbox]")


def test_the_wheel_has_the_program_and_nothing_else(release: Path) -> None:
    [path] = release.glob("*.whl")
    with ZipFile(path) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
        assert wheel.read("bot/.env.example") == (ROOT / ".env.example").read_bytes()
    own = (path for path in (ROOT / "bot").rglob("*") if path.is_file())
    wanted = {str(path.relative_to(ROOT)) for path in own if "__pycache__" not in path.parts}
    assert files == wanted | {"bot/.env.example"}
    assert {"bot/py.typed", "bot/sandbox/page/static/index.html"} <= files


def test_the_source_distribution_has_what_building_and_testing_need(release: Path) -> None:
    [path] = release.glob("*.tar.gz")
    with tarfile.open(path) as source:
        tops = {name.split("/")[1] for name in source.getnames()}
    assert {"bot", "tests", "pyproject.toml", "requirements.txt", "LICENSE", "scripts"} <= tops
    assert not tops & {".env", ".venv", ".git", "data"}


def test_the_command_says_its_version(plain: Installed) -> None:
    assert plain.ran("--version") == (f"{NAME} {__version__}\n", "", 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(plain: Installed, command: str) -> None:
    out, err, code = plain.ran(command, "--help")
    assert (err, code) == ("", 0)
    assert out.startswith(f"usage: {NAME} {command} ")


def test_the_files_alone_run_as_in_an_image(tmp_path: Path) -> None:
    """An image and a Procfile host have the packages and `bot/`, but no installed wheel."""
    python = environment_with(f"{NAME}[metrics]", tmp_path / "venv")
    (tmp_path / "bot").symlink_to(ROOT / "bot")
    counts = "from bot.monitoring.metrics import PrometheusMetrics; PrometheusMetrics(None)"
    for words in (("-m", "bot", "--version"), ("-c", counts)):
        checked(python, *words, cwd=tmp_path)


def test_without_settings_it_says_where_they_are_explained(plain: Installed) -> None:
    """Neither scripts/run nor a file at the top of a checkout: there is none."""
    out, err, code = plain.ran()
    assert (out, code) == ("", 2)
    where = err.splitlines()[-1]
    assert where.endswith(f"Without any account: {NAME} sandbox")
    example = next(word for word in where.split() if word.endswith(".env.example"))
    assert Path(example).read_text() == (ROOT / ".env.example").read_text()


def test_chat_answers_without_a_key(plain: Installed) -> None:
    out, err, code = plain.ran("chat", "--offline", "Good morning")
    assert (err, code) == ("", 0)
    assert "Good morning" in out


def test_the_sandbox_says_how_to_install_what_its_page_needs(plain: Installed) -> None:
    out, err, code = plain.ran("sandbox", "--no-browser")
    assert (out, code) == ("", 2)
    assert f"pip install '{NAME}[sandbox]'" in err


def test_the_sandbox_serves_its_page(playable: Installed) -> None:
    with subprocess.Popen(
        [playable.program, "sandbox", "--no-browser"],
        cwd=playable.cwd,
        env=playable.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as sandbox:
        try:
            assert sandbox.stdout is not None
            address = next(line.strip() for line in sandbox.stdout if "http://" in line)
            with urlopen(address, timeout=SECONDS) as page:
                assert "<!doctype html>" in page.read().decode().lower()
            sandbox.send_signal(signal.SIGINT)
            assert sandbox.wait(SECONDS) == 0
        finally:
            sandbox.kill()
