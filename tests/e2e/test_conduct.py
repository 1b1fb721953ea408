"""All requests of the bot, checked as every stage is checked when it ends."""

import pytest

from bot.sandbox.model_script import Script
from tests import openapi
from tests.e2e.conduct import CREATE, EDIT, check_log, check_message, sent_message
from tests.e2e.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def play(stage: Stage, unique: str) -> None:
    """Let the bot send every kind of request."""
    text = "And on it goes. " * 200
    await stage.model.reply_when(
        f"long {unique}", Script(text=text, chunk_size=40, chunks_per_second=200)
    )
    thread = (await stage.asked(f"long {unique}"))["id"]
    await stage.said(thread, "Mina", f"follow-up {unique}")
    await stage.said(await stage.discord.dm("Sora"), "Sora", f"direct {unique}")
    channel = await stage.channel()
    await stage.use(channel, "system", prompt="Be brief.")
    await stage.use(channel, "system", prompt="too long " * 500)
    await stage.submit(await stage.use(channel, "system"), "Be kind.")
    await stage.use(channel, "reset", by="Sora", force=True)
    await stage.use(channel, "reset")


async def test_every_request_is_valid_and_pings_nobody(stage: Stage, unique: str) -> None:
    before = len(await stage.discord.requests())
    await play(stage, unique)
    requests = await stage.discord.requests(after=before)
    for request in requests:
        openapi.check_request(request["method"], request["path"], request["body"])
        check_message(request)
    telling = {(one["method"], one["route"]) for one in requests if sent_message(one)}
    callback = "/interactions/{interaction_id}/{interaction_token}/callback"
    assert telling >= {("POST", CREATE), ("PATCH", EDIT), ("POST", callback)}
    assert all(one["status"] < 300 for one in requests)


async def test_log_contains_no_message_content_and_no_secrets(stage: Stage, unique: str) -> None:
    await stage.model.reply_when(f"failing {unique}", Script(status=401))
    await stage.asked(f"failing {unique}")
    await play(stage, unique)
    contents = [
        message["content"]
        for channel in await stage.discord.channels()
        for message in await stage.messages_in(channel["id"])
    ]
    assert any(unique in content for content in contents)
    check_log(stage.log, contents, [stage.discord.token, stage.model.api_key])
