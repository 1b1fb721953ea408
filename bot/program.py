"""The words that start this program: they depend on whether it is a checkout or installed."""

import sys
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent


def name() -> str:
    """Return what to type to start the program as it was started this time."""
    called = Path(sys.argv[0]).name
    return "python -m bot" if called == "__main__.py" else called


def command(words: str) -> str:
    """Return what to type for the command *words*; a checkout has a script that installs, too."""
    return f"{'scripts/run' if _is_checkout() else name()} {words}"


def settings_example() -> str:
    """Return where the file that explains the settings is."""
    packed = PACKAGE / ".env.example"
    return str(packed) if packed.exists() else packed.name


def how_to_install(package: str = "") -> str:
    """Return how to install a *package* that is missing."""
    if package == "asyncpg":
        checkout, extra = "scripts/setup postgres", "pip install 'discord-chat-bot[postgres]'"
        return f"PostgreSQL needs it: {checkout if _is_checkout() else extra}"
    if _is_checkout():
        return "scripts/run installs what is needed, scripts/run sandbox what its page needs, too."
    return "Install what the sandbox's page needs: pip install 'discord-chat-bot[sandbox]'"


def _is_checkout() -> bool:
    return (PACKAGE.parent / "scripts" / "run").exists()
