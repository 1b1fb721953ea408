"""The arguments of the command line: the parser, and the types of its values."""

import argparse
from functools import partial
from typing import Final

from bot import __version__, program
from bot.sandbox.layout import MOST_PROCESSES, MOST_SHARDS
from bot.storage.location import DatabaseUnknown, Location, UrlInvalid, location_of

MOST_DAYS: Final = 3650


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
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
        description="Copy every row into an empty database, or none if something fails. The source "
        "does not change.",
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


def _add_layout(parser: argparse.ArgumentParser) -> None:
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
        raise argparse.ArgumentTypeError(f"give a whole number from 1 to {most}")
    return int(text)


def _location(text: str) -> Location:
    try:
        return location_of(text)
    except (DatabaseUnknown, UrlInvalid):
        # The text itself is not repeated: it may have a password.
        raise argparse.ArgumentTypeError(
            "give sqlite:/// and a file, or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"give a whole number of days from 1 to {MOST_DAYS}")
    return int(text)


def _add_doctor(parser: argparse.ArgumentParser) -> None:
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
        raise argparse.ArgumentTypeError("an id is a number: Copy ID in Discord's menus")
    return int(text)


def _port(text: str, lowest: int) -> int:
    if not is_port(text, lowest):
        raise argparse.ArgumentTypeError(f"a port is a number from {lowest} to 65535")
    return int(text)


def is_port(text: str, lowest: int) -> bool:
    """Whether *text* is the number of a port, from *lowest* on."""
    is_short_number = text.isascii() and text.isdecimal() and len(text) <= len("65535")
    return is_short_number and lowest <= int(text) < 2**16
