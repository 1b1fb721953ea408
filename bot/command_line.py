"""Read the arguments of the command line.

Imported only if there are any: a bot on a host has none, and saves the memory.
"""

import argparse
from collections.abc import Sequence


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what *arguments* ask for; ends the program if they make no sense."""
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
