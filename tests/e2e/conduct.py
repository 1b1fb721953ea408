"""Rules for every bot on a stage: respect limits, ping nobody, leak no secrets.

Each stage is checked when it ends, so every end-to-end test is a test of these too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from bot.sandbox.driver import Driver
from bot.secret_shapes import redacted_line
from tests import openapi

Json = dict[str, Any]

MESSAGE_LIMIT: Final = 2000  # Discord: characters of content
CREATE: Final = "/channels/{channel_id}/messages"
EDIT: Final = "/channels/{channel_id}/messages/{message_id}"
MESSAGE_CALLBACKS: Final = frozenset({4, 7})  # Discord: they carry a message
SHORTEST_CONTENT: Final = 14  # characters; a shorter text may be in a log by chance


def sent_message(request: Json) -> Json | None:
    """Return the message that *request* creates or edits, None for any other request."""
    body = request["body"]
    if request["method"] not in {"POST", "PATCH"} or not isinstance(body, dict):
        return None
    if request["route"].endswith("/callback"):
        return body.get("data") if body["type"] in MESSAGE_CALLBACKS else None
    is_message = request["route"] in {CREATE, EDIT} or request["route"].startswith("/webhooks")
    return body if is_message else None


def check_message(request: Json) -> None:
    """Check that pings are off, the text fits, and a message sent twice is known by its nonce."""
    message = sent_message(request)
    if message is None:
        return
    where = f"{request['method']} {request['path']}"
    assert message["allowed_mentions"]["parse"] == [], where
    assert not message["allowed_mentions"].get("replied_user"), where
    assert len((message.get("content") or "").encode("utf-16-le")) // 2 <= MESSAGE_LIMIT, where
    if request["route"] == CREATE:
        assert message["nonce"], where
        assert message["enforce_nonce"] is True, where


def check_requests(requests: list[Json]) -> None:
    """Check that each request is valid by Discord's description, within limits, without pings."""
    checked: set[str] = set()
    for request in requests:
        check_message(request)
        where = f"{request['method']} {request['path']}"
        assert not request["unmodelled"], (
            f"unknown to the stand-in: {where}: {request['unmodelled']}"
        )
        assert request["status"] != 429 or request["faults"], f"over a limit: {request}"
        # Most bodies differ only in their texts: one of each shape is enough.
        shape = f"{request['method']} {request['route']} {_shape(request['body'])}"
        if shape not in checked:
            checked.add(shape)
            openapi.check_request(request["method"], request["path"], request["body"])


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return value if isinstance(value, int) and value < 1000 else type(value).__name__


async def check_conduct(discord: Driver, log: str, secrets: list[str]) -> None:
    """Check everything that the bots did on a stage; *log* is everything that they logged."""
    check_requests(await discord.requests())
    events = await discord.events(types=["message_create", "message_update"])
    messages = [event["data"]["message"] for event in events]
    for message in messages:
        if message["author"]["id"] == discord.bot_id:
            assert message["pings"] == [], f"pinged {message['pings']}"
    check_log(log, [message["content"] for message in messages], secrets)


def check_log(log: str, contents: list[str], secrets: list[str]) -> None:
    """Check that the log contains no secret, no message content and no unexpected failure."""
    for secret in secrets:
        assert secret not in log, "a secret is in the log"
    assert redacted_line(log) == log, "what looks like a key is in the log"
    lines = {line for content in contents for line in content.splitlines()}
    for line in lines:
        assert len(line) < SHORTEST_CONTENT or line not in log, f"{line!r} is in the log"
    assert not re.search(r"wordplace-\d", log), "a text of a test is in the log"
    _, traceback, beneath = log.partition("Traceback (most recent call last)")
    assert not traceback, f"something went round the log: {beneath[:2000]}"
    failed = re.search(r".* ERROR .*(?:\n(?!\d{4}-).*)*|.*\"ERROR\".*", log)
    assert failed is None, f"the bot failed in a way that it does not expect: {failed[0]}"


def all_logs(paths: list[Path]) -> str:
    """Return the logs of all bots of a stage as one text."""
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)
