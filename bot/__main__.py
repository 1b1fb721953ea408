"""The command line: run the bot, check it, back it up or move it, chat, the sandbox."""

import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from bot.settings import Settings
    from bot.storage.database_file import DatabaseFile
    from bot.storage.location import PostgresLocation

REFUSED: Final = 2  # exit code: the program cannot start; the printed sentence says why


def main(arguments: list[str] | None = None) -> int:
    """Run the command in *arguments* (default: those of the process); return the exit code."""
    command, start = _chosen(sys.argv[1:] if arguments is None else arguments)
    # Imported late, so that --help does not wait for modules that only the commands need.
    from bot.errors import SettingsInvalid, StartRefused  # noqa: PLC0415

    try:
        return start()
    except SettingsInvalid as problems:
        print(problems, _where_settings_are(command), sep="\n", file=sys.stderr)
        return REFUSED
    except StartRefused as refusal:
        print(refusal, *_doctor_named(command), file=sys.stderr)
        return REFUSED
    except ModuleNotFoundError as missing:
        from bot.program import how_to_install  # noqa: PLC0415

        sentence = (
            f"The package {missing.name} is not installed. {how_to_install(missing.name or '')}"
        )
        print(sentence, file=sys.stderr)
        return REFUSED
    except BrokenPipeError:  # The reader of the output has exited, as in `chat | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def _doctor_named(command: str) -> list[str]:
    """Return the sentence that names the doctor, if *command* runs the bot."""
    from bot import program  # noqa: PLC0415

    return [f"To check everything: {program.command('doctor')}."] if command == "run" else []


def _where_settings_are(command: str) -> str:
    from bot import program  # noqa: PLC0415

    read = "Settings are read from the environment and from .env"
    without, words = ("any account", "sandbox")
    if command == "chat":
        without, words = ("a key", "chat --offline")
    tried = f"Without {without}: {program.command(words)}"
    explained = f"{read}; {program.settings_example()} explains them."
    return " ".join((explained, *_doctor_named(command), tried))


def _chosen(arguments: Sequence[str]) -> tuple[str, Callable[[], int]]:
    """Return the name of the command, and the function that runs it."""
    if not arguments:
        return "run", _run
    # Imported only if there are arguments, to save memory: a bot on a host is started without any.
    from bot.arguments import parser  # noqa: PLC0415

    options = parser().parse_args(arguments)
    commands = {
        "backup": partial(_backup, options),
        "chat": partial(_chat, options),
        "health": partial(_health, options),
        "doctor": partial(_doctor, options),
        "move": partial(_move, options),
        "sandbox": partial(_sandbox, options),
    }
    command = options.command or "run"
    return command, commands.get(command, _run)


def _run() -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_now)  # Until `run` handles signals, nothing is to be finished.
    # SIGHUP asks to reload. It waits until `run` handles it; by default it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    # Imported objects live as long as the process. Searching them for garbage took a third of the
    # start, and later 60 ms each time, while people waited.
    gc.disable()
    from bot.errors import StartRefused  # noqa: PLC0415
    from bot.logs import log_refusal, set_up_logging  # noqa: PLC0415
    from bot.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    gc.collect()  # the garbage of building them, while there are few objects to search
    set_up_logging(settings.log_level, settings.log_format)
    try:
        with _database(settings) as database:
            # Late, because importing openai is slow. Meanwhile a thread checks the file. Commands
            # that need no event loop, such as `health`, start sooner without asyncio.
            import asyncio  # noqa: PLC0415

            from bot.app import run  # noqa: PLC0415

            gc.freeze()
            gc.enable()
            asyncio.run(run(settings, database))
    except StartRefused as refusal:
        if settings.log_format == "text":
            raise
        log_refusal(str(refusal))
        return REFUSED
    return 0


def _database(settings: "Settings") -> "AbstractContextManager[DatabaseFile | PostgresLocation]":
    """Return a context manager that locks the SQLite file; the server locks PostgreSQL's."""
    from bot.storage.location import PostgresLocation  # noqa: PLC0415

    location = settings.database
    if isinstance(location, PostgresLocation):
        from contextlib import nullcontext  # noqa: PLC0415

        return nullcontext(location)
    from bot.storage.database_file import DatabaseFile  # noqa: PLC0415

    return DatabaseFile.hold(location.path)


def _exit_now(_number: int, _frame: object) -> None:
    os._exit(0)  # Raised in the middle of an import, an exception may be swallowed.


def _backup(options: "argparse.Namespace") -> int:
    # As Ctrl-C: the unfinished copy is deleted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from bot.maintenance import back_up_database  # noqa: PLC0415

    return back_up_database(options.folder, options.keep)


def _move(options: "argparse.Namespace") -> int:
    # As Ctrl-C: asyncio cancels the move, and what it has written is undone.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    from bot.maintenance import move_database  # noqa: PLC0415

    return move_database(options.source, options.target)


def _chat(options: "argparse.Namespace") -> int:
    from bot.terminal import chat  # noqa: PLC0415

    return chat(options.question, offline=options.offline)


def _health(options: "argparse.Namespace") -> int:
    from bot.monitoring.probe import LIVE, NO_PORT, READY, ask  # noqa: PLC0415

    host, port = _health_address(options)
    answer = ask(host, port, LIVE if options.live else READY) if port else NO_PORT
    print(answer.sentence)
    return answer.code


def _health_address(options: "argparse.Namespace") -> tuple[str, int | None]:
    """Return where the bot listens, by the command line, the environment or `.env`."""
    host, port = options.host or os.environ.get("HEALTH_HOST"), options.port
    given = os.environ.get("HEALTH_PORT", "")
    from bot.arguments import is_port  # noqa: PLC0415  # as in `_chosen`

    if port is None and is_port(given, lowest=1):
        port = int(given)
    # Late, because a container asks every half minute, and pydantic takes long to import. A
    # container has its settings in the environment.
    from pathlib import Path  # noqa: PLC0415

    if port is None or (host is None and Path(".env").exists()):
        from bot.settings import Settings  # noqa: PLC0415

        settings = Settings.load(discord_token="not-needed", openai_api_key="not-needed")
        host, port = host or settings.health_host, port or settings.health_port
    return host or "127.0.0.1", port


def _doctor(options: "argparse.Namespace") -> int:
    from bot.doctor.command import doctor  # noqa: PLC0415

    return doctor(
        channel=options.channel,
        person=options.who,
        live=options.live,
        json=options.json,
        strict=options.strict,
    )


def _sandbox(options: "argparse.Namespace") -> int:
    from bot.sandbox.layout import Layout, LayoutRefused, checked  # noqa: PLC0415

    layout = Layout(options.processes, options.shards, options.postgres)
    try:
        checked(layout, in_terminal=options.terminal)
    except LayoutRefused as refusal:
        print(refusal, file=sys.stderr)
        return REFUSED
    if options.terminal:
        from bot.sandbox.terminal import play as play_here  # noqa: PLC0415

        return play_here(real=options.real, layout=layout)
    from bot.sandbox.page.play import play  # noqa: PLC0415

    return play(
        real=options.real,
        port=options.port,
        opens_browser=not options.no_browser,
        layout=layout,
    )


if __name__ == "__main__":
    sys.exit(main())
