"""The command line: run the bot, chat in the terminal, try it in the sandbox."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse

WHERE: Final = "Settings are read from the environment and from .env; .env.example explains them."
NO_ACCOUNT_NEEDED: Final = (
    f"{WHERE} Without any account: scripts/run sandbox",
    f"{WHERE} Without a key: scripts/run chat --offline",
)
INSTALL: Final = (
    "scripts/run installs what is needed, scripts/run sandbox what its page needs, too."
)
REFUSED: Final = 2  # exit code: it cannot run like this; the sentence says what to change


def main(arguments: list[str] | None = None) -> int:
    """Run the command in *arguments* (default: those of the process); return the exit code."""
    command, start = _chosen(sys.argv[1:] if arguments is None else arguments)
    # Imported late, so that --help does not wait for modules that only the commands need.
    from bot.errors import SettingsInvalid, StartRefused  # noqa: PLC0415

    try:
        return start()
    except SettingsInvalid as problems:
        print(problems, NO_ACCOUNT_NEEDED[command == "chat"], sep="\n", file=sys.stderr)
        return REFUSED
    except StartRefused as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    except ModuleNotFoundError as missing:
        print(f"The package {missing.name} is not installed. {INSTALL}", file=sys.stderr)
        return REFUSED
    except BrokenPipeError:  # Whoever read along has left, as in `chat | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _chosen(arguments: Sequence[str]) -> tuple[str, Callable[[], int]]:
    """Return the name of the command, and the function that runs it."""
    if not arguments:
        return "run", _run
    from bot.command_line import options_of  # noqa: PLC0415

    options = options_of(arguments)
    commands = {"chat": partial(_chat, options), "sandbox": partial(_sandbox, options)}
    command = options.command or "run"
    return command, commands.get(command, _run)


def _run() -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # Until `run` takes them over nothing is to be finished.
    # What is imported stays: looking through it for garbage, again and again, took a third of the
    # start, and 60 ms each time while people wait.
    gc.disable()
    from bot.logs import set_up_logging  # noqa: PLC0415
    from bot.settings import Settings  # noqa: PLC0415
    from bot.storage.database_file import DatabaseFile  # noqa: PLC0415

    settings = Settings.load()
    gc.collect()  # What building them leaves behind, while there is little to look through.
    set_up_logging(settings.log_level, settings.log_format)
    with DatabaseFile.hold(settings.database_path) as file:
        # openai takes a while, in which the file is read through; and settings come first.
        from bot.runtime import run  # noqa: PLC0415

        gc.freeze()
        gc.enable()
        asyncio.run(run(settings, file))
    return 0


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)  # An exception would end in the middle of an import, and not always get out of it.


def _chat(options: "argparse.Namespace") -> int:
    from bot.terminal import chat  # noqa: PLC0415

    return chat(options.question, offline=options.offline)


def _sandbox(options: "argparse.Namespace") -> int:
    if options.terminal:
        from bot.sandbox.terminal import play as play_here  # noqa: PLC0415

        return play_here(real=options.real)
    from bot.sandbox.page.play import play  # noqa: PLC0415

    return play(real=options.real, port=options.port, opens_browser=not options.no_browser)


if __name__ == "__main__":
    sys.exit(main())
