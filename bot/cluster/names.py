"""Name a process, for its rows in the database and for people who read them."""

import os
import secrets
import socket


def process_name() -> str:
    """Return a name that no other process has, with the machine and the process's number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
