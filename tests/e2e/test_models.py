"""The command /model: scopes, permissions, the list of models and its autocomplete."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.i18n.korean import KOREAN
from bot.i18n.sentences import ENGLISH
from bot.sandbox.model_script import Script
from tests.e2e.conftest import DEADLINE_SECONDS, PATIENCE_SECONDS, Stage, new_guild_channel
from tests.faults.points import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTED = Script(
    body={
        "object": "list",
        "data": [
            {"id": "stand-in", "object": "model", "shutdown_date": None},
            {"id": "old-model", "object": "model", "shutdown_date": "2027-01-31"},
            {"id": "new-model", "object": "model"},
        ],
    }
)


@pytest_asyncio.fixture(loop_scope="session")
async def choosy(own_stage: Stage) -> AsyncIterator[Stage]:
    """Run a stage with two configured models beside the default."""
    async with own_stage.bot(OPENAI_MODELS="alpha, org/beta:2"):
        yield own_stage


@pytest_asyncio.fixture(loop_scope="session")
async def listing(own_stage: Stage) -> AsyncIterator[Stage]:
    """Run a stage that takes the list of models from the API."""
    await own_stage.model.list_models(LISTED)
    async with own_stage.bot():
        yield own_stage


async def model_at(stage: Stage, text: str) -> str:
    """Return the model of the newest request with *text*."""
    return str((await stage.requests_with(text))[-1].body["model"])


async def offered(stage: Stage, channel: str, typed: str = "", *, by: str = "Mina") -> list[Any]:
    """Return the autocomplete choices of *by* for *typed*, as pairs of name and value."""
    interaction = await stage.discord.autocomplete(channel, by, "model", "model", typed)
    choices = (await stage.answered(interaction))["choices"]
    return [(one["name"], one["value"]) for one in choices]


async def test_model_command_shows_everyone_the_model_and_reason(choosy: Stage) -> None:
    channel = await choosy.channel()
    answer = await choosy.use(channel, "model", by="Jun")
    assert answer["ephemeral"]
    assert answer["content"].splitlines() == [
        ENGLISH.help_model.format(model="`stand-in`"),
        ENGLISH.model_reason_default,
    ]


async def test_chosen_model_answers_in_the_channel_and_its_threads(
    choosy: Stage, unique: str
) -> None:
    channel, other = await choosy.channel(), await choosy.channel()
    thread = (await choosy.asked(f"first {unique}", channel=channel))["id"]
    answer = await choosy.use(channel, "model", model="org/beta:2")
    assert answer["content"] == ENGLISH.model_set_channel.format(model="`org/beta:2`")
    assert not answer["ephemeral"]
    await choosy.asked(f"second {unique}", channel=channel)
    await choosy.said(thread, "Jun", f"third {unique}")
    await choosy.asked(f"fourth {unique}", channel=other)
    models = [await model_at(choosy, f"{n} {unique}") for n in ("second", "third", "fourth")]
    assert models == ["org/beta:2", "org/beta:2", "stand-in"]
    for place, why in ((channel, ENGLISH.model_reason_own), (thread, ENGLISH.model_reason_channel)):
        lines = (await choosy.use(place, "model", by="Jun"))["content"].splitlines()
        assert lines == [ENGLISH.help_model.format(model="`org/beta:2`"), why]


async def test_help_and_privacy_name_the_channels_model(choosy: Stage) -> None:
    channel = await choosy.channel()
    await choosy.use(channel, "model", model="alpha")
    response = (await choosy.use(channel, "help", by="Jun"))["content"]
    assert ENGLISH.help_model.format(model="alpha") in response
    privacy = (await choosy.use(channel, "privacy", by="Jun"))["content"]
    assert ENGLISH.privacy_where.format(host="127.0.0.1", model="alpha") in privacy


async def test_nearest_scope_wins_and_default_clears_a_choice(choosy: Stage, unique: str) -> None:
    channel = await new_guild_channel(choosy, unique)
    thread = (await choosy.asked(unique, channel=channel))["id"]
    answer = await choosy.use(channel, "model", model="alpha", scope="server")
    assert answer["content"] == ENGLISH.model_set_server.format(model="`alpha`")
    assert ENGLISH.model_reason_server in (await choosy.use(thread, "model"))["content"]
    await choosy.use(channel, "model", model="org/beta:2")
    answer = await choosy.use(thread, "model", model="stand-in")
    assert answer["content"] == ENGLISH.model_set_thread.format(model="`stand-in`")
    await choosy.said(thread, "Mina", f"own {unique}")
    assert await model_at(choosy, f"own {unique}") == "stand-in"
    for place, scope, now in (
        (thread, "channel", "org/beta:2"),
        (channel, "channel", "alpha"),
        (channel, "server", "stand-in"),
    ):
        answer = await choosy.use(place, "model", model="default", scope=scope)
        assert answer["content"] == ENGLISH.model_cleared.format(model=f"`{now}`")
    await choosy.said(thread, "Mina", f"last {unique}")
    assert await model_at(choosy, f"last {unique}") == "stand-in"
    assert choosy.rows("SELECT * FROM models WHERE scope_id = ?", int(channel)) == []


async def test_model_choice_in_a_direct_message_affects_only_it(choosy: Stage, unique: str) -> None:
    person, other = await choosy.person(), await choosy.person()
    dm, others = await choosy.discord.dm(person), await choosy.discord.dm(other)
    answer = await choosy.use(dm, "model", by=person, model="alpha")
    assert answer["content"] == ENGLISH.model_set_dm.format(model="`alpha`")
    await choosy.said(dm, person, f"first {unique}")
    await choosy.said(others, other, f"another {unique}")
    assert await model_at(choosy, f"first {unique}") == "alpha"
    assert await model_at(choosy, f"another {unique}") == "stand-in"
    answer = await choosy.use(dm, "model", by=person, model="alpha", scope="server")
    assert (answer["ephemeral"], answer["content"]) == (True, ENGLISH.refused_server_scope)


async def test_model_choice_needs_manage_server(choosy: Stage, unique: str) -> None:
    channel, person = await choosy.channel(), await choosy.person()
    answer = await choosy.use(channel, "model", by=person, model="alpha")
    assert (answer["ephemeral"], answer["content"]) == (True, ENGLISH.refused_permission)
    assert await offered(choosy, channel, by=person) == []
    await choosy.asked(unique, channel=channel)
    assert await model_at(choosy, unique) == "stand-in"
    await choosy.discord.permit(person, ["MANAGE_GUILD"])
    assert await offered(choosy, channel, "al", by=person) == [("alpha", "alpha")]


async def test_only_offered_models_can_be_chosen(choosy: Stage, unique: str) -> None:
    channel = await choosy.channel()
    for name in ("gamma", "x" * 5000, "`@everyone`", " "):
        answer = await choosy.use(channel, "model", model=name)
        assert answer["ephemeral"]
        assert answer["content"].endswith("`stand-in`, `alpha`, `org/beta:2`")
    await choosy.asked(unique, channel=channel)
    assert await model_at(choosy, unique) == "stand-in"


async def test_autocomplete_uses_the_configured_models(choosy: Stage) -> None:
    """Without a call to the API."""
    channel = await choosy.channel()
    before = await choosy.model.requests()
    default = ("default (stand-in)", "default")
    models = [(name, name) for name in ("stand-in", "alpha", "org/beta:2")]
    assert await offered(choosy, channel) == [default, *models]
    assert await offered(choosy, channel, "BETA") == [models[2]]
    assert await offered(choosy, channel, "de") == [default]
    assert await offered(choosy, channel, "a") == [models[1], default, models[0], models[2]]
    assert await offered(choosy, channel, "nothing like it") == []
    assert await choosy.model.requests() == before


async def test_model_choice_survives_a_restart_and_works_in_korean(
    own_stage: Stage, unique: str
) -> None:
    stage = own_stage
    person, channel = await stage.person(), await stage.channel()
    await stage.discord.edit_user(person, locale="ko")
    await stage.discord.permit(person, ["MANAGE_GUILD"])
    async with stage.bot(OPENAI_MODELS="alpha"):
        answer = await stage.use(channel, "model", by=person, model="alpha")
        assert answer["content"] == KOREAN.model_set_channel.format(model="`alpha`")
        assert (await offered(stage, channel, by=person))[0] == ("기본값 (stand-in)", "default")
    async with stage.bot(OPENAI_MODELS="alpha"):
        await stage.asked(f"first {unique}", channel=channel)
        response = (await stage.use(channel, "model", by=person))["content"].splitlines()
        assert response == [KOREAN.help_model.format(model="`alpha`"), KOREAN.model_reason_own]
    async with stage.bot(OPENAI_MODELS="beta"):  # "alpha" is no longer configured.
        await stage.asked(f"second {unique}", channel=channel)
    assert await model_at(stage, f"first {unique}") == "alpha"
    assert await model_at(stage, f"second {unique}") == "stand-in"


async def test_models_and_shutdown_dates_come_from_the_api_by_default(
    listing: Stage, unique: str
) -> None:
    channel = await listing.channel()
    assert await offered(listing, channel, "model") == [
        ("old-model (until 2027-01-31)", "old-model"),
        ("new-model", "new-model"),
    ]
    answer = await listing.use(channel, "model", model="old-model")
    assert answer["content"] == ENGLISH.model_set_channel.format(model="`old-model`")
    lines = (await listing.use(channel, "model"))["content"].splitlines()
    assert lines[-1] == ENGLISH.model_shutdown.format(date="2027-01-31")
    await listing.asked(unique, channel=channel)
    assert await model_at(listing, unique) == "old-model"
    answer = await listing.use(channel, "model", model="gone-model")
    assert "`old-model`, `new-model`" in answer["content"]
    asked = [one for one in await listing.model.requests() if one.path.endswith("/models")]
    assert len(asked) == 1, "the list is cached"


@pytest.mark.parametrize(
    "listed",
    [
        Script(status=404),
        Script(status=500, body="x" * 100_000),
        Script(body={"object": "list", "data": []}),
        Script(body={"data": {"id": "a"}}),
        Script(body={"data": [1, None, {"id": 7}, {"id": "two words"}]}),
        Script(body="[" * 100_000),
        Script(body="<html>"),
        Script(body={"data": [{"id": "a"}]}, disconnect_after_bytes=5),
    ],
    ids=lambda script: str(script.body)[:20],
)
async def test_only_the_default_is_offered_if_the_api_lists_nothing(
    own_stage: Stage, listed: Script
) -> None:
    await own_stage.model.list_models(listed)
    async with own_stage.bot():
        channel = await own_stage.channel()
        default = [("default (stand-in)", "default"), ("stand-in", "stand-in")]
        assert await offered(own_stage, channel) == default
        answer = await own_stage.use(channel, "model", model="alpha")
        assert (answer["ephemeral"], answer["content"]) == (True, ENGLISH.model_list_missing)
        answer = await own_stage.use(channel, "model", model="stand-in")
        assert answer["content"] == ENGLISH.model_set_channel.format(model="`stand-in`")
        assert own_stage.rows("SELECT model FROM models") == [("stand-in",)]


async def test_slow_model_list_is_fetched_once_without_delay(
    own_stage: Stage,
) -> None:
    """Autocomplete must respond within 3 s; a deferred command has 15 minutes."""
    slow = Script(body=LISTED.body, stall_before_seconds=5.0)
    await own_stage.model.list_models(slow)
    async with own_stage.bot(), asyncio.timeout(PATIENCE_SECONDS):
        channel = await own_stage.channel()
        typed = await asyncio.gather(*(offered(own_stage, channel, "") for _ in range(3)))
        assert typed == [[("default (stand-in)", "default"), ("stand-in", "stand-in")]] * 3
        answer = await own_stage.use(channel, "model", model="new-model")
        assert answer["content"] == ENGLISH.model_set_channel.format(model="`new-model`")
        assert ("new-model", "new-model") in await offered(own_stage, channel)
        asked = [one for one in await own_stage.model.requests() if one.path.endswith("/models")]
        assert len(asked) == 1


async def test_autocomplete_offers_25_models_and_accepts_typed_names(
    own_stage: Stage,
) -> None:
    long = "m" * 150
    names = [f"model-{number}" for number in range(60)] + [long]
    await own_stage.model.list_models(Script(body={"data": [{"id": name} for name in names]}))
    async with own_stage.bot():
        channel = await own_stage.channel()
        assert len(await offered(own_stage, channel)) == 25
        assert len(await offered(own_stage, channel, "MODEL-5")) == 11
        assert await offered(own_stage, channel, "mmm") == []
        answer = await own_stage.use(channel, "model", model=long)
        assert answer["content"].startswith(ENGLISH.model_set_channel.partition("{")[0])
        assert own_stage.rows("SELECT model FROM models") == [(long,)]


async def test_autocomplete_offers_nothing_in_a_disallowed_guild(
    own_stage: Stage, unique: str
) -> None:
    await own_stage.discord.settings(interaction_deadline_seconds=1.0)
    try:
        async with own_stage.bot(ALLOWED_GUILDS="1"):
            channel = await new_guild_channel(own_stage, unique)
            interaction = await own_stage.discord.autocomplete(
                channel, "Mina", "model", "model", ""
            )
            seen = await own_stage.discord.wait_for_answer(interaction)
            assert (seen["state"], seen["response"]) == ("failed", None)
            await own_stage.discord.settings(interaction_deadline_seconds=DEADLINE_SECONDS)
            answer = await own_stage.use(channel, "model")
            assert answer["content"] == ENGLISH.refused_place
    finally:
        await own_stage.discord.settings(interaction_deadline_seconds=DEADLINE_SECONDS)


async def test_late_autocomplete_is_not_an_error(choosy: Stage) -> None:
    """The person types on; the check of the stage would find an error in the log."""
    late = {"message": "Unknown interaction", "code": 10062}
    await choosy.discord.fault("answer", method="POST", path="/callback", status=404, body=late)
    await choosy.discord.autocomplete(await choosy.channel(), "Mina", "model", "model", "")
    await choosy.logged("Cannot autocomplete model: NotFound")


async def test_model_choice_is_deleted_with_its_channel_or_guild(
    choosy: Stage, unique: str
) -> None:
    channel = await new_guild_channel(choosy, unique)
    await choosy.use(channel, "model", model="alpha", scope="server")
    other = str((await choosy.discord.create_channel("other", guild=f"Guild {unique}"))["id"])
    await choosy.use(other, "model", model="alpha")
    [(guild,)] = choosy.rows("SELECT guild_id FROM places WHERE place_id = ?", int(other))

    def left(scope_id: int) -> list[Any]:
        return choosy.rows("SELECT model FROM models WHERE scope_id = ?", scope_id)

    async def is_erased(scope_id: int) -> bool:
        return not left(scope_id)

    assert left(int(other)) == left(guild) == [("alpha",)]
    await choosy.discord.delete_channel(other)
    await until(lambda: is_erased(int(other)))
    await choosy.discord.kick(choosy.discord.bot_id, f"Guild {unique}")
    await until(lambda: is_erased(guild))
