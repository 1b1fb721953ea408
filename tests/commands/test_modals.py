"""Submitted modals are read as Discord documents them; other interactions are not."""

from collections.abc import Sequence
from typing import Any

import discord
import pytest

from bot.commands.base import Refused
from bot.commands.modals import Modals, entered_text, modal_id, open_modal, parse_modal_id
from bot.i18n.sentences import ENGLISH
from bot.transport.payload_checks import SNOWFLAKE_LIMIT
from tests.commands.doubles import DoubleInteraction, authorizer_for

LARGEST = SNOWFLAKE_LIMIT - 1
FIELD = {"type": 4, "custom_id": "words", "value": "Hello"}
IN_ROW = {"type": 1, "id": 1, "components": [FIELD]}
IN_LABEL = {"type": 18, "id": 1, "component": FIELD}
DISPLAY = {"type": 10, "id": 1}


@pytest.mark.parametrize("ids", [(), (1,), (LARGEST, LARGEST)])
def test_a_modal_id_can_be_parsed_again_and_fits(ids: tuple[int, ...]) -> None:
    custom_id = modal_id("system-channel", *ids)
    assert len(custom_id) <= 100
    assert parse_modal_id({"custom_id": custom_id}) == ("system-channel", ids)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"custom_id": 7},
        *({"custom_id": f"about:{ids}"} for ids in ("", "one", "-1", "²", LARGEST + 1, "1:")),
    ],
)
def test_a_foreign_modal_id_is_not_parsed(data: Any) -> None:
    assert parse_modal_id(data) == ("", ())


@pytest.mark.parametrize("parts", [[IN_ROW], [IN_LABEL], [DISPLAY, IN_LABEL], [None, IN_ROW]])
def test_the_field_is_found_in_a_row_or_a_label(parts: list[Any]) -> None:
    assert entered_text({"components": parts}) == "Hello"


@pytest.mark.parametrize("parts", [None, "x", [], [DISPLAY], [{"component": FIELD | {"value": 1}}]])
def test_a_modal_without_a_field_has_no_text(parts: Any) -> None:
    assert entered_text({"components": parts}) is None
    assert entered_text(parts) is None


async def test_the_text_input_of_a_modal_is_in_a_label() -> None:
    interaction: Any = DoubleInteraction()
    await open_modal(interaction, "about", 1, title="Ask", label="Your question", text="Why?")
    [modal] = interaction.modals
    [label] = modal.to_dict()["components"]
    assert (label["type"], label["label"]) == (18, "Your question")
    assert label["component"]["type"] == 4
    assert label["component"]["value"] == "Why?"
    assert not label["component"].get("label")


class Submitting:
    """A client with one kind of modal, about two ids, and what its handler was given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.client: Any = discord.Client(intents=discord.Intents.none())
        self.given: list[tuple[tuple[int, ...], str]] = []
        self._error = error
        Modals(self.client, authorizer_for(7)).on_submit("about", self._handle, ids=2)

    async def _handle(self, _: discord.Interaction, ids: Sequence[int], text: str) -> None:
        self.given.append((tuple(ids), text))
        if self._error is not None:
            raise self._error

    async def submit(self, custom_id: str, *parts: Any, guild_id: int = 7) -> DoubleInteraction:
        data = {"custom_id": custom_id, "components": [*parts]}
        submitted = discord.InteractionType.modal_submit
        interaction = DoubleInteraction(guild_id=guild_id, type=submitted, data=data)
        await self.client.on_interaction(interaction)
        return interaction


async def test_a_modal_is_passed_to_the_handler_of_its_kind() -> None:
    submitting = Submitting()
    interaction = await submitting.submit("about:1:2", IN_LABEL)
    assert (submitting.given, interaction.shown) == ([((1, 2), "Hello")], [])


async def test_no_modal_is_accepted_where_the_bot_may_not_work() -> None:
    submitting = Submitting()
    interaction = await submitting.submit("about:1:2", IN_LABEL, guild_id=8)
    assert interaction.shown[0] == (ENGLISH.refused_place, True)
    assert (submitting.given, interaction.files) == ([], [b"Hello"])


async def test_other_interactions_are_left_to_discord_py() -> None:
    submitting = Submitting()
    await submitting.client.on_interaction(DoubleInteraction(data={"custom_id": "about:1:2"}))
    assert submitting.given == []


@pytest.mark.parametrize("custom_id", ["about:1", "about:1:2:3", "older:1:2", ""])
async def test_the_text_of_an_unknown_modal_is_returned(custom_id: str) -> None:
    submitting = Submitting()
    interaction = await submitting.submit(custom_id, IN_LABEL)
    sentences = [ENGLISH.modal_outdated, ENGLISH.modal_text_returned]
    assert interaction.shown == [(sentence, True) for sentence in sentences]
    assert (submitting.given, interaction.files) == ([], [b"Hello"])


async def test_the_text_of_a_refused_modal_is_returned() -> None:
    interaction = await Submitting(Refused(lambda t: t.refused_place)).submit("about:1:2", IN_ROW)
    sentences = [ENGLISH.refused_place, ENGLISH.modal_text_returned]
    assert interaction.shown == [(sentence, True) for sentence in sentences]
    assert interaction.files == [b"Hello"]


async def test_a_modal_without_a_field_has_nothing_to_return() -> None:
    interaction = await Submitting().submit("about:1:2", DISPLAY)
    assert (interaction.shown, interaction.files) == ([(ENGLISH.modal_outdated, True)], [])
