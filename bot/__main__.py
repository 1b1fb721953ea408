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
    from bot.storage.location import Location, PostgresLocation

MOST_DAYS: Final = 3650
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
    options = _parser().parse_args(arguments)
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


def _parser() -> "argparse.ArgumentParser":
    # Imported only if there are arguments, to save memory: a bot on a host is started without any.
    import argparse  # noqa: PLC0415

    from bot import __version__, program  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog=program.name(),
        description="A Discord bot that answers mentions and direct messages.",
        epilog=f"Without a command it runs the bot. Settings: see {program.settings_example()}.",
    )
    parser.add_argument("--version", action="version", version=f"discord-chat-bot {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="run the bot (the default)")
    backup = commands.add_parser(
        "backup", help="copy the database into a folder; the bot may be running"
    )
    backup.add_argument(
        "folder", nargs="?", help="the folder (default: backups, beside the database)"
    )
    backup.add_argument(
        "--keep",
        type=_days,
        default=7,
        metavar="DAYS",
        help="delete copies in the folder that an earlier backup made more than DAYS days ago "
        "(default: 7)",
    )
    move = commands.add_parser(
        "move",
        help="move the memory of a stopped bot from SQLite to PostgreSQL, or back",
        description="Copy every row into an empty database, or none. The source stays as it is.",
    )
    move.add_argument(
        "source", type=_location, help="the database to read, such as sqlite:///data/bot.db"
    )
    move.add_argument(
        "target",
        type=_location,
        nargs="?",
        help="the empty database to fill (default: DATABASE_URL, which keeps the password out of "
        "the list of processes)",
    )
    chat = commands.add_parser(
        "chat", help="chat in the terminal, without Discord, or ask one question"
    )
    chat.add_argument(
        "question",
        nargs="*",
        help="ask this one question and exit; piped input is added to it, or is the question",
    )
    chat.add_argument("--offline", action="store_true", help="use the stand-in model; needs no key")
    _add_doctor(commands.add_parser("doctor", help="check everything without changing anything"))
    sandbox = commands.add_parser(
        "sandbox", help="try the bot with a stand-in Discord, without any account"
    )
    sandbox.add_argument(
        "--real",
        action="store_true",
        help="use the chat API of your settings, which costs money, instead of a stand-in model",
    )
    sandbox.add_argument("--terminal", action="store_true", help="run in this terminal")
    sandbox.add_argument(
        "--no-browser", action="store_true", help="print the address of the page only"
    )
    sandbox.add_argument(
        "--port", type=partial(_port, lowest=0), default=0, help="port of the page (default: any)"
    )
    _add_layout(sandbox)
    health = commands.add_parser(
        "health", help="ask a running bot whether it can answer people; exit code 0 or 1"
    )
    health.add_argument("--host", help="where the bot listens (default: HEALTH_HOST)")
    health.add_argument(
        "--port", type=partial(_port, lowest=1), help="its port there (default: HEALTH_PORT)"
    )
    health.add_argument("--live", action="store_true", help="ask only whether the process is alive")
    return parser


def _add_layout(parser: "argparse.ArgumentParser") -> None:
    from bot.sandbox.layout import MOST_PROCESSES, MOST_SHARDS  # noqa: PLC0415

    parser.add_argument(
        "--postgres", action="store_true", help="run a PostgreSQL server and keep the history there"
    )
    parser.add_argument(
        "--processes",
        type=partial(_count, most=MOST_PROCESSES),
        default=1,
        metavar="N",
        help="run the bot as N processes on one database (needs --postgres; default: 1)",
    )
    parser.add_argument(
        "--shards",
        type=partial(_count, most=MOST_SHARDS),
        default=1,
        metavar="N",
        help="connect with N shards, each with a server (default: 1)",
    )


def _count(text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= most):
        from argparse import ArgumentTypeError  # noqa: PLC0415

        raise ArgumentTypeError(f"give a whole number from 1 to {most}")
    return int(text)


def _location(text: str) -> "Location":
    from bot.storage.location import DatabaseUnknown, UrlInvalid, location_of  # noqa: PLC0415

    try:
        return location_of(text)
    except (DatabaseUnknown, UrlInvalid):
        from argparse import ArgumentTypeError  # noqa: PLC0415

        # The text itself is not repeated: it may have a password.
        raise ArgumentTypeError(
            "give sqlite:/// and a file, or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_DAYS):
        from argparse import ArgumentTypeError  # noqa: PLC0415

        raise ArgumentTypeError(f"give a whole number of days from 1 to {MOST_DAYS}")
    return int(text)


def _add_doctor(parser: "argparse.ArgumentParser") -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if there are warnings")
    parser.add_argument(
        *("--channel", "--where"),
        dest="channel",
        type=_id,
        metavar="ID",
        help="also check the permissions in this channel or thread",
    )
    parser.add_argument(
        "--who", type=_id, metavar="ID", help="also say whether this person may use the bot there"
    )
    parser.add_argument(
        "--live", action="store_true", help="also ask the model for one token, which may cost money"
    )


def _id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**63):
        from argparse import ArgumentTypeError  # noqa: PLC0415

        raise ArgumentTypeError("an id is a number: Copy ID in Discord's menus")
    return int(text)


def _port(text: str, lowest: int) -> int:
    if not _is_port(text, lowest):
        from argparse import ArgumentTypeError  # noqa: PLC0415

        raise ArgumentTypeError(f"a port is a number from {lowest} to 65535")
    return int(text)


def _is_port(text: str, lowest: int) -> bool:
    is_short_number = text.isascii() and text.isdecimal() and len(text) <= len("65535")
    return is_short_number and lowest <= int(text) < 2**16


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
    """Return what holds the file for this process; PostgreSQL has its locks itself."""
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
    from io import TextIOWrapper  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    from bot.settings import Settings  # noqa: PLC0415
    from bot.storage.backup import back_up  # noqa: PLC0415

    settings = Settings.load(discord_token="not-needed", openai_api_key="not-needed")
    database = settings.database_path
    if database is None:
        from bot.errors import BackupFailed  # noqa: PLC0415

        raise BackupFailed(
            f"The database is PostgreSQL ({settings.database}), which this command does not copy. "
            "Its own tool does: pg_dump --format=custom --schema=chatbot --file=bot.dump "
            '"$DATABASE_URL"'
        )
    folder = Path(options.folder) if options.folder else database.parent / "backups"
    made = back_up(database, folder, options.keep)
    if isinstance(sys.stdout, TextIOWrapper):  # The terminal may lack letters of the folder's name.
        sys.stdout.reconfigure(errors="backslashreplace")
    deleted = f" Deleted older copies: {made.deleted}." if made.deleted else ""
    print(
        f"Copied {database} to {made.path} ({made.size_bytes / 1e6:.1f} MB) in "
        f"{made.seconds:.1f} s.{deleted}"
    )
    return 0


def _move(options: "argparse.Namespace") -> int:
    # As Ctrl-C, for which asyncio cancels what runs: what was begun is undone.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    import asyncio  # noqa: PLC0415

    from bot.errors import HistoryUnusable, MoveFailed  # noqa: PLC0415
    from bot.settings import Settings  # noqa: PLC0415
    from bot.storage.move import move  # noqa: PLC0415

    source, target = options.source, options.target
    if target is None:
        settings = Settings.load(discord_token="not-needed", openai_api_key="not-needed")
        target = settings.database
    print(f"Move {source} to {target}", flush=True)
    try:
        moved = asyncio.run(move(source, target, partial(print, flush=True)))
    except HistoryUnusable as error:
        if options.target is None:
            raise
        raise MoveFailed(str(error).replace("in DATABASE_URL", "in its address")) from error
    except KeyboardInterrupt:
        print(f"Stopped: nothing was moved, and {source} is as it was.", file=sys.stderr)
        raise
    if moved.corrected:
        print(
            f"Texts with NUL, or with what is not UTF-8: {moved.corrected}. PostgreSQL stores "
            "neither: such characters were left out or replaced."
        )
    print(
        f"Moved {moved.rows:,} rows of {moved.tables} tables in {moved.seconds:.1f} s. Start the "
        f"bot with DATABASE_URL on {target}. Once it runs, delete {source} and its copies: what "
        "people delete from now on stays in them."
    )
    return 0


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
    if port is None and _is_port(given, lowest=1):
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
