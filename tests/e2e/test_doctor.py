"""The doctor, run as a person runs it: the real program, real faults, nothing changed."""

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from bot.sandbox.discord.permissions import Permission
from bot.sandbox.model_script import Script
from bot.storage.orders import BudgetOrder, Orders
from tests.e2e.conftest import PATIENCE_SECONDS, Stage, new_guild_channel
from tests.e2e.test_moderation import moderated

pytestmark = pytest.mark.asyncio(loop_scope="session")

Findings = dict[str, dict[str, Any]]
CLOSED_PORT: Final = "http://127.0.0.1:1/v1"
SECRETS: Final = ("DISCORD_TOKEN", "OPENAI_API_KEY", "MODERATION_API_KEY")
# Without any budget, a bot that is open to all has a warning.
BUDGETS: Final = '{"unit": "tokens", "bot": {"day": 1000000}}'
OF_THE_MACHINE: Final = {
    *("database_not_kept", "database_on_network", "disk_low", "trust_store", "setting_unknown"),
}
SMALL_DISK: Final = 1_000_000  # bytes


async def doctor(stage: Stage, *arguments: str, **settings: str) -> tuple[str, int]:
    """Return what the doctor prints, and its exit code. It never prints a secret."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "doctor", *arguments),
        env=stage.environment(**({"BUDGETS": BUDGETS} | settings)),
        cwd=stage.folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    assert err == b""
    text = out.decode()
    given = {stage.discord.token, stage.model.api_key, *map(settings.get, SECRETS)}
    assert not [secret for secret in given if secret and secret in text]
    assert process.returncode is not None
    return text, process.returncode


async def findings(stage: Stage, *arguments: str, **settings: str) -> Findings:
    """Return the findings by their names."""
    text, code = await doctor(stage, "--json", *arguments, **settings)
    report = json.loads(text)
    levels = [one["level"] for one in report["findings"]]
    assert report["failures"] == levels.count("fail")
    assert report["warnings"] == levels.count("warn")
    assert code == (2 if report["failures"] else 0)
    return {one["name"]: one for one in report["findings"]}


def levels(found: Findings) -> dict[str, str]:
    """Return the names of all findings that are not ok, with their levels.

    Those of the servers are left out, because other tests may have made servers that grant less,
    and those of the machine, which may be a container.
    """
    ours = {name: one for name, one in found.items() if name not in OF_THE_MACHINE}
    return {
        name: one["level"]
        for name, one in ours.items()
        if one["check"] != "servers" and one["level"] != "ok"
    }


def everything_in(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the contents of all files in *folder*, and when each was changed."""
    return {
        str(file): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def stage(own_stage: Stage) -> Stage:
    return own_stage


async def list_model(stage: Stage, **entry: object) -> None:
    """Let the API list the model of the settings, alone."""
    body = {"object": "list", "data": [{"id": "stand-in", "object": "model"} | entry]}
    await stage.model.list_models(Script(body=json.dumps(body)))


async def roles_of(stage: Stage, name: str, channel: str) -> list[str]:
    """Return the roles of a person in the server of a channel, by Discord's own route."""
    headers = {"Authorization": f"Bot {stage.discord.token}"}
    async with aiohttp.ClientSession(stage.discord.api_url + "/", headers=headers) as session:
        async with session.get(f"channels/{channel}") as response:
            guild = (await response.json())["guild_id"]
        person = stage.discord.user_id(name)
        async with session.get(f"guilds/{guild}/members/{person}") as response:
            return list((await response.json())["roles"])


# Nothing is wrong


async def test_a_healthy_bot_has_no_problem(stage: Stage) -> None:
    """Neither before its first start, nor while it runs, nor after it."""
    await list_model(stage)
    before = await findings(stage)
    assert levels(before) == {}
    assert not (stage.folder / "bot.db").exists()
    assert not (stage.folder / "bot.db.lock").exists()
    async with stage.bot() as bot:
        await stage.asked("Are you there?")
        await list_model(stage)
        meanwhile = await findings(stage)
        assert levels(meanwhile) == {}
        assert str(bot.process.pid) in meanwhile["database_in_use"]["text"]
        await stage.asked("Are you still there?")
    await list_model(stage)
    after = await findings(stage)
    assert levels(after) == {}
    assert "database_in_use" not in after


async def test_nothing_is_sent_written_or_created(stage: Stage) -> None:
    """Every request only reads; the folder of the database stays as it is, to the byte."""
    async with stage.bot():
        await stage.asked("Are you there?")
    before, requests = everything_in(stage.folder), len(await stage.discord.requests())
    await doctor(stage, "--channel", await stage.channel())
    assert everything_in(stage.folder) == before
    made = (await stage.discord.requests())[requests:]
    assert {one["method"] for one in made} == {"GET"}


@pytest.mark.variation
async def test_a_log_that_a_crash_left_is_not_touched(stage: Stage) -> None:
    async with stage.bot() as bot:
        await stage.asked("Are you there?")
        bot.process.kill()
        await bot.wait()
    before = everything_in(stage.folder)
    assert str(stage.folder / "bot.db-wal") in before
    found = await findings(stage)
    assert found["database_contents"]["level"] == "ok"
    unchanged = {name: one for name, one in before.items() if not name.endswith("-shm")}
    after = everything_in(stage.folder)
    assert {name: one for name, one in after.items() if not name.endswith("-shm")} == unchanged


@pytest.mark.variation
async def test_a_name_steers_no_terminal_and_needs_no_letters_of_it(
    stage: Stage, unique: str
) -> None:
    """Other people choose the names of servers; not every terminal has UTF-8."""
    guild = await stage.discord.create_guild(f"한국어 {unique} \x9b31m \u202e")
    await stage.discord.edit_guild(guild["id"], bot_permissions=0, everyone_permissions=0)
    text, code = await doctor(stage, PYTHONIOENCODING="ascii")
    assert code == 0
    assert f"In ??? {unique}" in text
    as_json, code = await doctor(stage, "--json", PYTHONIOENCODING="ascii")
    assert code == 0
    assert as_json.isascii()
    assert f"In {guild['name']} ({guild['id']})" in "".join(
        one["text"] for one in json.loads(as_json)["findings"]
    )


@pytest.mark.variation
async def test_the_report_fits_into_80_columns(stage: Stage) -> None:
    """With words that are longer, such as a link, in lines of their own."""
    text, code = await doctor(stage, COLUMNS="80", OPENAI_BASE_URL=CLOSED_PORT)
    assert code == 2
    assert all(len(line) <= 80 for line in text.splitlines() if " " in line.strip()[3:])
    assert text.splitlines()[0] == "settings"
    assert text.splitlines()[-1].startswith("1 failure")


@pytest.mark.variation
async def test_strict_counts_warnings(stage: Stage) -> None:
    await stage.discord.settings(portal={"message_content": False})
    assert (await doctor(stage))[1] == 0
    assert (await doctor(stage, "--strict"))[1] == 1


# Settings


async def test_wrong_settings_are_all_listed_and_the_rest_is_checked(stage: Stage) -> None:
    text, code = await doctor(stage, "--json", REPLY_TOKENS="many", LOG_LEVEL="loud")
    found = json.loads(text)["findings"]
    assert code == 2
    wrong = [one["text"] for one in found if one["name"] == "setting_invalid"]
    assert wrong == ["REPLY_TOKENS is not valid.", "LOG_LEVEL is not valid."]
    assert {"discord", "database", "model"} <= {one["check"] for one in found}


@pytest.mark.variation
async def test_without_a_token_and_key_the_rest_is_checked(stage: Stage) -> None:
    at_other = {"DISCORD_TOKEN": "", "OPENAI_API_KEY": ""}
    at_openai = at_other | {"OPENAI_BASE_URL": ""}
    for settings, unchecked in [(at_other, {"discord"}), (at_openai, {"discord", "model"})]:
        report = json.loads((await doctor(stage, "--json", **settings))[0])
        checked = {one["check"] for one in report["findings"]}
        assert {"settings", "system", "database"} <= checked
        assert not unchecked & checked


async def test_a_misspelt_setting_is_named(stage: Stage) -> None:
    (stage.folder / ".env").write_text("OPENAI_MODLE=gpt\nREPLY_TOKEN=5\nDISCORD_PREFIX=!\n")
    text, code = await doctor(stage)
    assert code == 0
    plain = " ".join(text.split())
    assert "OPENAI_MODLE in .env is no setting of this bot. -> If you meant OPENAI_MODEL" in plain
    assert "REPLY_TOKEN in .env is no setting of this bot. -> If you meant REPLY_TOKENS" in plain
    assert "DISCORD_PREFIX in .env is no setting of this bot." in plain


@pytest.mark.variation
async def test_lines_of_the_env_file_that_set_nothing_are_named(stage: Stage) -> None:
    """The bot would go on without these settings."""
    await list_model(stage)
    env = "REPLY_TOKENS: 5\n# a comment\n\nLANGUAGE=en\nSYSTEM_PROMPT='Be brief\nLOG_LEVEL\n"
    (stage.folder / ".env").write_text(env)
    found = await findings(stage)
    assert levels(found) == {"env_line": "warn"}
    assert found["env_line"]["text"] == "Lines 1, 5, 6 of .env set nothing."


@pytest.mark.variation
async def test_a_missing_env_file_is_named_if_settings_are_missing(stage: Stage) -> None:
    found = await findings(stage, DISCORD_TOKEN="")
    assert str(stage.folder) in found["env_file"]["text"]
    (stage.folder / ".env").touch()
    assert "env_file" not in await findings(stage, DISCORD_TOKEN="")


@pytest.mark.variation
async def test_an_unreadable_env_file_is_named(stage: Stage) -> None:
    (stage.folder / ".env").write_bytes(b"SYSTEM_PROMPT=\xff\xfe")
    found = await findings(stage)
    assert levels(found) == {"setting_invalid": "fail"}
    assert found["setting_invalid"]["text"] == ".env is not UTF-8 text."


# Discord


async def test_a_wrong_token_is_refused_once(stage: Stage) -> None:
    """Discord bans addresses that send many requests with a wrong token."""
    requests = len(await stage.discord.requests())
    found = await findings(stage, DISCORD_TOKEN="wrongtoken")
    assert found["token"]["level"] == "fail"
    assert "Reset Token" in found["token"]["remedy"]
    assert len(await stage.discord.requests()) == requests + 1


async def test_the_missing_intent_is_named(stage: Stage) -> None:
    await list_model(stage)
    await stage.discord.settings(portal={"message_content": False})
    found = await findings(stage)
    assert levels(found) == {"message_content": "warn"}
    assert "Developer Portal" in found["message_content"]["remedy"]


@pytest.mark.variation
async def test_discord_that_does_not_answer_is_named(stage: Stage) -> None:
    found = await findings(stage, DISCORD_API_URL="http://127.0.0.1:1/api/v10")
    assert found["discord"]["level"] == "fail"
    assert "127.0.0.1" in found["discord"]["text"]


@pytest.mark.variation
@pytest.mark.parametrize(
    ("status", "remedy"), [(503, "discordstatus.com"), (404, "DISCORD_API_URL")]
)
async def test_what_answers_in_place_of_discord_is_named(
    stage: Stage, status: int, remedy: str
) -> None:
    answer: dict[str, Any] = {"status": status, "body": "<html>", "count": None}
    await stage.discord.fault("answer", method="GET", path="/users/@me$", **answer)
    found = (await findings(stage))["discord"]
    assert found["level"] == "fail"
    assert remedy in found["remedy"]
    assert str(status) in found["text"]


@pytest.mark.variation
async def test_a_proxy_in_the_environment_is_named(stage: Stage) -> None:
    """The chat API is asked through it, and Discord is not."""
    proxy = {"HTTP_PROXY": "http://127.0.0.1:1", "NO_PROXY": "", "no_proxy": ""}
    discord = {"DISCORD_API_URL": "http://127.0.0.1:1/api/v10"}
    found = await findings(stage, **proxy, **discord)
    assert "does not use HTTP_PROXY" in found["discord"]["remedy"]
    assert "the proxy in HTTP_PROXY" in found["model_api"]["remedy"]
    found = await findings(stage, **proxy | dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1"))
    assert found["model_api"]["level"] == "ok"


@pytest.mark.variation
async def test_a_short_wait_that_discord_asks_for_is_no_problem(stage: Stage) -> None:
    """Discord lets a bot read its servers once a second; a bot in many reads more pages."""
    limit: dict[str, Any] = {"method": "GET", "path": "/users/@me/guilds"}
    await stage.discord.fault("rate_limit", **limit, count=2, retry_after=0.2)
    assert (await findings(stage))["servers"]["level"] == "ok"
    await stage.discord.fault("rate_limit", **limit, retry_after=60)
    found = await findings(stage)
    assert found["servers"]["level"] == "warn"
    assert "it asks to wait 60 s" in found["servers"]["text"]


@pytest.mark.variation
async def test_what_hangs_is_given_up(stage: Stage) -> None:
    """Discord and the API at the same time; all else is checked meanwhile."""
    await stage.discord.fault("delay", method="GET", path="/users/@me$", seconds=60)
    await stage.model.list_models(Script(stall_before_seconds=60))
    found = await findings(stage)
    assert "no answer within 10 s" in found["discord"]["text"]
    assert found["model_api"]["level"] == "fail"
    assert "The AI service took too long." in found["model_api"]["text"]
    assert found["database_file"]["level"] == "ok"


@pytest.mark.variation
async def test_an_odd_answer_ends_its_own_check_alone(stage: Stage) -> None:
    """As from a proxy that answers everything with an empty object."""
    answer: dict[str, Any] = {"status": 200, "body": {}, "count": None}
    await stage.discord.fault("answer", method="GET", path="/users/@me$", **answer)
    found = await findings(stage)
    assert found["check_failed"]["check"] == "discord"
    assert found["model_api"]["level"] == "ok"


@pytest.mark.variation
@pytest.mark.parametrize(("left", "level"), [(1000, "ok"), (20, "warn"), (0, "fail")])
async def test_few_sign_ins_are_a_warning_and_none_a_failure(
    stage: Stage, left: int, level: str
) -> None:
    body = {
        "url": stage.discord.gateway_url,
        "shards": 1,
        "session_start_limit": {
            "total": 1000,
            "remaining": left,
            "reset_after": 7_000_000,
            "max_concurrency": 1,
        },
    }
    await stage.discord.fault("answer", method="GET", path="/gateway/bot", status=200, body=body)
    found = await findings(stage)
    assert found["identifies"]["level"] == level


@pytest.mark.variation
@pytest.mark.parametrize(("ahead", "level"), [(0, "ok"), (-300, "warn"), (300, "warn")])
async def test_a_wrong_clock_is_named(stage: Stage, ahead: int, level: str) -> None:
    await stage.discord.settings(clock_ahead_seconds=ahead)
    try:
        found = await findings(stage)
    finally:
        await stage.discord.settings(clock_ahead_seconds=0)
    assert found["clock"]["level"] == level
    if ahead:
        assert ("behind" if ahead > 0 else "ahead of") in found["clock"]["text"]


# Servers and channels


@pytest.mark.variation
async def test_a_permission_that_a_server_does_not_grant_is_named(
    stage: Stage, unique: str
) -> None:
    guild = await stage.discord.create_guild(f"Guild {unique}")
    without_files = ["VIEW_CHANNEL", "SEND_MESSAGES", "READ_MESSAGE_HISTORY"]
    bits = sum(Permission[name] for name in without_files)
    await stage.discord.edit_guild(guild["id"], bot_permissions=bits, everyone_permissions=0)
    text, _ = await doctor(stage)
    assert (
        f"In Guild {unique} ({guild['id']}) the bot lacks: Create Public Threads, "
        "Send Messages in Threads, Attach Files."
    ) in " ".join(text.split())
    for name in ("BLOCKED_GUILDS", "ALLOWED_GUILDS"):
        text, _ = await doctor(stage, **{name: guild["id"] if name[0] == "B" else "5"}, ADMINS="1")
        assert f"In Guild {unique}" not in text


@pytest.mark.variation
async def test_ids_that_name_nothing_are_named(stage: Stage) -> None:
    """By the setting that has them; ids that name something are left out."""
    channel, mina = await stage.channel(), stage.discord.user_id("Mina")
    lists = {
        "ALLOWED_GUILDS": "11",
        "ALLOWED_CHANNELS": f"12,{channel}",
        "BLOCKED_CHANNELS": "13",
        "ALLOWED_ROLES": "14",
        "ALLOWED_USERS": f"15,{mina}",
        "ADMINS": "16",
    }
    report = json.loads((await doctor(stage, "--json", **lists))[0])
    texts = [one["text"] for one in report["findings"] if one["name"] == "unknown_ids"]
    named = {text.split()[0]: text.rpartition(": ")[2] for text in texts}
    assert named == {
        "ALLOWED_GUILDS": "11.",
        "ALLOWED_CHANNELS": "12.",
        "BLOCKED_CHANNELS": "13.",
        "ALLOWED_ROLES": "14.",
        "ALLOWED_USERS": "15.",
        "ADMINS": "16.",
    }


# Access


async def said_of(stage: Stage, name: str, place: str, **settings: str) -> tuple[bool, str]:
    """Return whether the doctor says that a person may use the bot, and by which rule."""
    who = ("--who", stage.discord.user_id(name), "--where", place)
    finding = (await findings(stage, *who, **settings))["access"]
    return finding["level"] == "ok", finding["text"].rpartition(": ")[2]


async def test_the_verdict_on_a_person_and_its_rule_are_printed(stage: Stage) -> None:
    """In a thread, the lists count for its channel, too."""
    channel = await stage.channel()
    message = await stage.discord.say(channel, "Mina", "Here.")
    thread = (await stage.discord.start_thread(channel, "Mina", "talk", message=message["id"]))[
        "id"
    ]
    mina = stage.discord.user_id("Mina")
    assert await said_of(stage, "Mina", thread) == (True, "no list excludes anybody here.")
    blocked = {"BLOCKED_CHANNELS": channel}
    assert await said_of(stage, "Mina", thread, **blocked) == (
        False,
        f"BLOCKED_CHANNELS has {channel}.",
    )
    only_jun = {"ALLOWED_USERS": stage.discord.user_id("Jun")}
    refused, rule = await said_of(stage, "Mina", thread, **only_jun)
    assert (refused, rule.split()[0]) == (False, "ALLOWED_USERS")
    assert await said_of(stage, "Jun", thread, **only_jun) == (
        True,
        f"ALLOWED_USERS has person {stage.discord.user_id('Jun')}.",
    )
    assert await said_of(stage, "Mina", thread, **only_jun, ADMINS=mina) == (
        True,
        f"ADMINS has person {mina}.",
    )


@pytest.mark.variation
async def test_the_doctor_and_the_bot_agree_on_roles(stage: Stage, unique: str) -> None:
    channel = await new_guild_channel(stage, unique)
    guild = f"Guild {unique}"
    await stage.discord.permit("Jun", ["SEND_MESSAGES"], guild)
    [role] = await roles_of(stage, "Jun", channel)
    assert await said_of(stage, "Jun", channel, ALLOWED_ROLES=role) == (
        True,
        f"ALLOWED_ROLES has role {role}.",
    )
    assert (await said_of(stage, "Mina", channel, ALLOWED_ROLES=role))[0] is False
    async with stage.bot(ALLOWED_ROLES=role):
        assert await stage.ask(f"{unique} no", channel=channel, author="Mina")
        question = await stage.ask(f"{unique} yes", channel=channel, author="Jun")
        await stage.answer_to(question)
        assert await stage.requests_with(f"{unique} no") == []


@pytest.mark.variation
async def test_what_operators_set_wins_as_it_does_in_the_bot(stage: Stage) -> None:
    channel, mina = await stage.channel(), stage.discord.user_id("Mina")
    async with stage.bot():
        await stage.asked("Are you there?")
    orders = Orders().with_person(int(mina), blocked=True)
    orders = orders.with_budget("bot", "day", BudgetOrder("tokens", 0))
    stage.write("INSERT INTO facts VALUES ('orders', ?)", orders.as_json())
    found = await findings(stage, "--who", mina, "--where", channel)
    assert found["orders"]["text"] == (
        f"Set by /operator, which overrides the settings: person {mina} blocked; the day's budget "
        "of the bot changed."
    )
    assert found["access"]["text"].endswith(f": BLOCKED_USERS has person {mina}.")
    assert found["budget_day"]["level"] == "fail"


@pytest.mark.variation
async def test_a_person_who_is_not_in_the_server_is_named(stage: Stage) -> None:
    """No list decides about an id that was copied wrong."""
    place = await stage.channel()
    found = (await findings(stage, "--who", "1234567890123456", "--where", place))["access"]
    assert found["level"] == "warn"
    assert found["text"].startswith("There is no person 1234567890123456 in server ")


@pytest.mark.variation
async def test_who_without_where_is_refused(stage: Stage) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "doctor", "--who", "5"),
        env=stage.environment(),
        cwd=stage.folder,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert (process.returncode, err) == (
        2,
        b"Give --where with --who: the id of a channel or thread.\n",
    )


@pytest.mark.variation
async def test_what_a_channel_denies_is_named(stage: Stage) -> None:
    """Also for a thread, which has the overwrites of its channel.

    In the channel the bot can still answer, without a thread.
    """
    channel = await stage.channel()
    assert (await findings(stage, "--channel", channel))["channel_permissions"]["level"] == "ok"
    denied = {"target": "ChatBot", "deny": ["SEND_MESSAGES_IN_THREADS"]}
    await stage.discord.edit_channel(channel, overwrites=[denied])
    message = await stage.discord.say(channel, "Mina", "Here.")
    thread = await stage.discord.start_thread(channel, "Mina", "talk", message=message["id"])
    for place, level in ((channel, "warn"), (thread["id"], "fail")):
        found = (await findings(stage, "--channel", place))["channel_permissions"]
        assert found["level"] == level
        assert "lacks: Send Messages in Threads." in found["text"]


@pytest.mark.variation
async def test_a_channel_that_the_bot_does_not_see_is_named(stage: Stage) -> None:
    channel = await stage.channel()
    hidden = {"target": "ChatBot", "deny": ["VIEW_CHANNEL"]}
    await stage.discord.edit_channel(channel, overwrites=[hidden])
    assert "View Channel" in (await findings(stage, "--channel", channel))["channel"]["text"]
    assert "no channel 5" in (await findings(stage, "--channel", "5"))["channel"]["text"]


# The chat API


async def test_a_closed_port_of_the_api_is_named(stage: Stage) -> None:
    found = await findings(stage, OPENAI_BASE_URL=CLOSED_PORT)
    assert levels(found) == {"model_api": "fail"}
    assert "I cannot reach the AI service right now." in found["model_api"]["text"]
    assert "127.0.0.1" in found["model_api"]["text"]


async def test_a_wrong_key_is_named_in_the_words_of_the_bot(stage: Stage) -> None:
    found = await findings(stage, OPENAI_API_KEY="sk-wrongkeyofmine")
    assert found["model_api"]["level"] == "fail"
    assert "The AI service refused my key." in found["model_api"]["text"]


@pytest.mark.variation
async def test_a_model_that_is_not_listed_is_named(stage: Stage) -> None:
    await list_model(stage, id="another")
    found = await findings(stage, OPENAI_MODEL="stand-im")
    assert found["model_unknown"]["level"] == "warn"
    assert "It lists: another." in found["model_unknown"]["text"]
    await list_model(stage, id="another")
    assert "model_unknown" not in await findings(stage, "--live", OPENAI_MODEL="stand-im")


@pytest.mark.variation
async def test_a_window_that_is_too_small_and_a_shutdown_are_named(stage: Stage) -> None:
    await list_model(stage, context_length=8192, shutdown_date="2020-01-01")
    found = await findings(stage, CONTEXT_TOKENS="8000", REPLY_TOKENS="2000")
    assert levels(found) == {"model_window": "warn", "model_shutdown": "fail"}
    assert "10000" in found["model_window"]["text"]


@pytest.mark.variation
async def test_only_live_asks_the_model(stage: Stage) -> None:
    await findings(stage)
    assert await stage.completions() == []
    found = await findings(stage, "--live")
    assert found["model_live"]["level"] == "ok"
    [request] = await stage.completions()
    assert request.body["max_tokens"] == 1


@pytest.mark.variation
async def test_a_moderation_service_is_asked_about_a_harmless_word(stage: Stage) -> None:
    found = await findings(stage, **moderated(stage, "refuse"))
    assert found["moderation"]["level"] == "ok"
    [request] = await stage.model.moderations()
    assert request.body == {"model": "omni-moderation-latest", "input": "Hello"}
    assert "moderation" not in await findings(stage)


@pytest.mark.variation
@pytest.mark.parametrize(
    ("required", "level", "then"),
    [("false", "warn", "answered unchecked"), ("true", "fail", "refused")],
)
async def test_a_moderation_service_that_gives_no_verdict_is_named(
    stage: Stage, required: str, level: str, then: str
) -> None:
    settings = moderated(stage, "refuse", MODERATION_REQUIRED=required)
    wrong_key = await findings(stage, **(settings | {"MODERATION_API_KEY": "wrongkey"}))
    assert wrong_key["moderation"]["level"] == level
    assert then in wrong_key["moderation"]["text"]
    assert "ModelKeyRefused" in wrong_key["moderation"]["text"]
    assert "MODERATION_API_KEY" in wrong_key["moderation"]["remedy"]
    closed = {"MODERATION_BASE_URL": "http://127.0.0.1:1/v1"}
    found = await findings(stage, **(settings | closed))
    assert "ModelUnreachable" in found["moderation"]["text"]


@pytest.mark.variation
async def test_a_slow_moderation_service_is_named(stage: Stage) -> None:
    await stage.model.judge_when("Hello", delay_seconds=2.5)
    found = await findings(stage, **moderated(stage, "refuse"))
    assert found["moderation_slow"]["level"] == "warn"


# The database


@pytest.mark.variation
async def test_a_newer_schema_is_named(stage: Stage) -> None:
    async with stage.bot():
        pass
    with closing(sqlite3.connect(stage.folder / "bot.db")) as database:
        database.execute("PRAGMA user_version = 999")
    found = await findings(stage)
    assert found["database_contents"]["level"] == "fail"
    assert "newer version" in found["database_contents"]["text"]


@pytest.mark.variation
async def test_a_file_of_another_program_is_named(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.folder / "bot.db")) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    found = await findings(stage)
    assert found["database_contents"]["level"] == "fail"
    assert "another program" in found["database_contents"]["text"]


@pytest.mark.variation
@pytest.mark.parametrize("content", [b"Dear diary, " * 400, b"Dear"])
async def test_a_file_that_is_no_database_is_named(stage: Stage, content: bytes) -> None:
    (stage.folder / "bot.db").write_bytes(content)
    found = await findings(stage)
    assert found["database_contents"]["level"] == "fail"
    assert "move it aside" in found["database_contents"]["remedy"].lower()
    assert (stage.folder / "bot.db").read_bytes() == content


@pytest.mark.variation
async def test_a_file_that_others_may_read_is_named(stage: Stage) -> None:
    async with stage.bot():
        pass
    (stage.folder / "bot.db").chmod(0o644)
    found = await findings(stage)
    assert "chmod 600" in found["database_mode"]["remedy"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder in which a disk of one megabyte, in memory, is mounted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs more rights")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def test_a_full_disk_and_one_in_memory_are_named(stage: Stage, small_disk: Path) -> None:
    await list_model(stage)
    (small_disk / "filler").write_bytes(b"x" * (SMALL_DISK // 2))
    found = await findings(stage, DATABASE_URL=f"sqlite:///{small_disk}/bot.db")
    assert levels(found) == {"disk_full": "fail"}
    assert found["database_not_kept"]["level"] == "warn"
    assert "tmpfs" in found["database_not_kept"]["text"]


@pytest.fixture
def sealed_disk(small_disk: Path) -> Path:
    """Return a folder that takes no writes, not even root's."""
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    return small_disk


async def test_a_folder_that_is_not_writable_is_named(stage: Stage, sealed_disk: Path) -> None:
    found = await findings(stage, DATABASE_URL=f"sqlite:///{sealed_disk}/data/bot.db")
    assert found["database_folder"]["level"] == "fail"
    assert str(sealed_disk) in found["database_folder"]["text"]


@contextmanager
def connected(path: Path, how: str, begin: str) -> Iterator[int]:
    """Keep the database open in another process, after the statement *begin*; yield its id."""
    code = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], uri=True, isolation_level=None)\n"
        "c.execute(sys.argv[2]); c.execute('SELECT count(*) FROM facts').fetchall()\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path.as_uri() + how, begin],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"ready\n"
        yield other.pid
        other.stdin.close()


@pytest.mark.variation
@pytest.mark.parametrize(
    ("how", "begin", "name"),
    [("", "PRAGMA user_version", "database_writer"), ("?mode=ro", "BEGIN", "database_reader")],
)
async def test_a_second_writer_and_a_long_reader_are_named(
    stage: Stage, how: str, begin: str, name: str
) -> None:
    """The bot runs meanwhile, and is not one of them."""
    async with stage.bot():
        await stage.asked("Are you there?")
        await list_model(stage)
        with connected(stage.folder / "bot.db", how, begin) as pid:
            found = await findings(stage)
    assert levels(found) == {name: "warn"}
    assert f"(process {pid})" in found[name]["text"]


@pytest.mark.variation
@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_of_another_owner_is_named(stage: Stage) -> None:
    async with stage.bot():
        pass
    os.chown(stage.folder / "bot.db", 10001, 10001)
    found = await findings(stage)
    assert found["database_owner"]["level"] == "warn"
    assert "uid 10001" in found["database_owner"]["text"]


@pytest.mark.variation
@pytest.mark.parametrize("name", ["", "notes/bot.db"])
async def test_a_path_that_cannot_be_a_file_is_named(stage: Stage, name: str) -> None:
    """A folder, and a file within a file."""
    (stage.folder / "notes").write_text("Dear diary")
    found = await findings(stage, DATABASE_URL=f"sqlite:///{stage.folder / name}")
    assert found["database_file"]["level"] == "fail"
    assert found["database_file"]["remedy"] == "Name another file in DATABASE_URL."


# Operation


@pytest.mark.variation
async def test_a_bot_that_is_open_to_all_without_a_cap_is_named(stage: Stage) -> None:
    await list_model(stage)
    assert levels(await findings(stage, BUDGETS="")) == {"open_without_budget": "warn"}
    mine = {"BUDGETS": "", "ALLOWED_USERS": stage.discord.user_id("Mina"), "ALLOW_DMS": "false"}
    await list_model(stage)
    assert levels(await findings(stage, **mine)) == {}


@pytest.mark.variation
@pytest.mark.parametrize(("day", "level"), [("1000000", "ok"), ("1", "fail"), ("0", "fail")])
async def test_what_is_left_of_the_budget_is_named(stage: Stage, day: str, level: str) -> None:
    """A budget that is used up is a reason why the bot says nothing."""
    async with stage.bot(BUDGETS=BUDGETS):
        await stage.asked("Are you there?")
        budget = f'{{"unit": "tokens", "bot": {{"day": {day}}}}}'
        assert (await findings(stage, BUDGETS=budget))["budget_day"]["level"] == level


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.variation
async def test_the_health_port_is_asked_while_the_bot_runs(stage: Stage) -> None:
    port = str(free_port())
    async with stage.bot(HEALTH_PORT=port):
        found = await findings(stage, HEALTH_PORT=port)
        assert found["health"]["text"] == f"The bot is ready. (port {port})"
        other = await findings(stage, HEALTH_PORT=str(free_port()))
        assert other["health"]["level"] == "warn"


@pytest.mark.variation
async def test_a_health_port_that_another_program_has_is_named(stage: Stage) -> None:
    """The bot would not start; while the port is free, all is well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = (await findings(stage, HEALTH_PORT=str(port)))["health"]
        assert found["level"] == "fail"
        assert "another program listens at it" in found["text"]
        assert found["remedy"] == "Give another HEALTH_PORT."
    assert (await findings(stage, HEALTH_PORT=str(port)))["health"]["level"] == "ok"


@pytest.mark.variation
@pytest.mark.parametrize("host", ["203.0.113.1", "nohost.invalid"])
async def test_a_health_host_that_is_not_of_this_machine_is_named(stage: Stage, host: str) -> None:
    found = await findings(stage, HEALTH_PORT=str(free_port()), HEALTH_HOST=host)
    assert found["health"]["level"] == "fail"
    assert found["health"]["remedy"].startswith("Set HEALTH_HOST")


@pytest.mark.variation
async def test_the_last_backup_is_named(stage: Stage) -> None:
    async with stage.bot():
        await stage.asked("Are you there?")
    assert "backup" not in await findings(stage)
    backup = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", "backup"),
        env=stage.environment(),
        cwd=stage.folder,
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await backup.wait() == 0
    assert (await findings(stage))["backup"]["text"].startswith("The last backup was made 0 h ago")


async def test_postgresql_is_looked_into(stand_ins: Stage, postgres_url: str) -> None:
    """Also while a bot has it open; nothing of its password is printed."""
    password = postgres_url.partition("@")[0].rpartition(":")[2]
    async with stand_ins.afresh() as stage, stage.bot(DATABASE_URL=postgres_url):
        found = await findings(stage, DATABASE_URL=postgres_url)
        assert levels(found) == {}
        assert "one at 127.0.0.1" in found["database_in_use"]["text"]
        assert "holds shard 0" in found["database_in_use"]["text"]
        assert "pg_dump" in found["backup"]["text"]
        text, code = await doctor(stage, DATABASE_URL=postgres_url.replace(password, "hunter2"))
    assert code == 2
    assert "refuses the password" in text
    assert "hunter2" not in text
    assert password not in text
