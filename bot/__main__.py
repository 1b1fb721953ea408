"""The command line: run the bot, chat in the terminal, try it in the sandbox."""

import argparse
import asyncio
import gc
import os
import signal
import sys
from typing import Final

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
    """Run what *arguments* ask for and return the exit code."""
    options = _parser().parse_args(arguments)
    # Imported late: --help must not wait for what only the commands need.
    from bot.errors import SettingsInvalid, StartRefused  # noqa: PLC0415

    try:
        if options.command == "chat":
            return _chat(options)
        if options.command == "sandbox":
            return _sandbox(options)
        return _run()
    except SettingsInvalid as problems:
        print(problems, NO_ACCOUNT_NEEDED[options.command == "chat"], sep="\n", file=sys.stderr)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot",
        description="A Discord bot that answers mentions and direct messages.",
        epilog="Without a command it runs the bot. Settings: see .env.example.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="run the bot (the default)")
    chat = commands.add_parser(
        "chat", help="chat in the terminal, without Discord, or ask one question"
    )
    chat.add_argument(
        "question",
        nargs="*",
        help="ask this once and end; what is piped in is asked with it, or alone",
    )
    chat.add_argument(
        "--offline", action="store_true", help="use the stand-in model, without a key"
    )
    sandbox = commands.add_parser(
        "sandbox", help="try the bot with a stand-in Discord, without any account"
    )
    sandbox.add_argument(
        "--real",
        action="store_true",
        help="let the chat API of your settings answer, at its price; else a stand-in does",
    )
    sandbox.add_argument("--terminal", action="store_true", help="run it here, without a browser")
    sandbox.add_argument(
        "--no-browser", action="store_true", help="print the address of the page, open nothing"
    )
    sandbox.add_argument("--port", type=_port, default=0, help="port of the page; else any free")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _run() -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # Until `run` takes them over nothing is to be finished.
    # What is imported stays: looking through it for garbage, again and again, took a third of the
    # start, and 60 ms each time while people wait.
    gc.disable()
    from bot.database_file import DatabaseFile  # noqa: PLC0415
    from bot.logs import set_up_logging  # noqa: PLC0415
    from bot.settings import Settings  # noqa: PLC0415

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


def _chat(options: argparse.Namespace) -> int:
    from bot.terminal import chat  # noqa: PLC0415

    return chat(options.question, offline=options.offline)


def _sandbox(options: argparse.Namespace) -> int:
    if options.terminal:
        from bot.sandbox.terminal import play as play_here  # noqa: PLC0415

        return play_here(real=options.real)
    from bot.sandbox.page.play import play  # noqa: PLC0415

    return play(real=options.real, port=options.port, opens_browser=not options.no_browser)


if __name__ == "__main__":
    sys.exit(main())
