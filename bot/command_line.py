"""Read the arguments of the command line.

Imported only if there are any, to save memory: a bot on a host is started without arguments.
"""

import argparse
from collections.abc import Sequence


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed *arguments*; exit with a usage message if they are invalid."""
    return _parser().parse_args(arguments)


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
        help="ask this one question and exit; piped input is added to it, or is the question",
    )
    chat.add_argument("--offline", action="store_true", help="use the stand-in model; needs no key")
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
    sandbox.add_argument("--port", type=_port, default=0, help="port of the page (default: any)")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) < 2**16):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)
