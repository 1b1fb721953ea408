"""Forms that people fill in: what each is for stands in its id, which outlives the program."""

import io
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import discord

from bot.commands.base import Commands, Refused
from bot.commands.tree import UNANSWERABLE
from bot.transport.payload_checks import is_snowflake

log = logging.getLogger(__name__)

WORDS_LENGTH: Final = 4000  # Discord: text input of a form
PLACEHOLDER_LENGTH: Final = 100  # Discord: placeholder of a text input
WORDS: Final = "words"  # what the one field of a form is called
WORDS_NAME: Final = "form.txt"
# Is given what the form is about, by ids, and what was written; raises what is to be explained.
Reader = Callable[[discord.Interaction, Sequence[int], str], Awaitable[None]]


class Forms:
    """Opens forms of one field, and has them read by those who `read` their kind.

    discord.py would know a form only as long as it runs; here nothing is kept of an open one.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._readers: dict[tuple[str, int], Reader] = {}

    def read(self, kind: str, reader: Reader, *, ids: int) -> None:
        """Let *reader* read the forms of a kind, which are about so many *ids*."""
        self._readers[kind, ids] = reader

    def hear(self, client: discord.Client) -> None:
        """Hear of forms that are sent off, those from before a restart too."""

        @client.event
        async def on_interaction(interaction: discord.Interaction) -> None:
            if interaction.type is discord.InteractionType.modal_submit:
                await self._sent_off(interaction)

    async def _sent_off(self, interaction: discord.Interaction) -> None:
        words = None
        try:
            words = written_in(interaction.data)
            kind, ids = read_form_id(interaction.data)
            reader = self._readers.get((kind, len(ids)))
            if reader is None or words is None:  # It is an older version's, or garbled.
                raise Refused(lambda t: t.form_unknown)
            await reader(interaction, ids, words)
        except Exception as error:  # noqa: BLE001  # explaining logs what nobody expected
            await self._commands.explain(interaction, error)
            if words:
                await self._give_back(interaction, words)

    async def _give_back(self, interaction: discord.Interaction, words: str) -> None:
        """Return to the person what they wrote for nothing: Discord has closed the form."""
        if not interaction.response.is_done():  # Nor could they be told why.
            return
        sentence = self._commands.strings_for(interaction).form_words
        file = discord.File(io.BytesIO(words.encode()), WORDS_NAME)
        try:
            await interaction.followup.send(sentence, file=file, ephemeral=True)
        except UNANSWERABLE as failure:
            log.warning("The words of a form cannot be given back: %s", type(failure).__name__)


async def open_form(
    interaction: discord.Interaction,
    kind: str,
    *ids: int,
    title: str,
    label: str,
    words: str = "",
    placeholder: str = "",
) -> None:
    """Answer *interaction* with a form about *ids*, in which *words* stand already."""
    form = discord.ui.Modal(title=title, custom_id=form_id(kind, *ids))
    field: discord.ui.TextInput[discord.ui.Modal] = discord.ui.TextInput(
        label=label,
        custom_id=WORDS,
        style=discord.TextStyle.paragraph,
        default=words[:WORDS_LENGTH] or None,
        placeholder=placeholder[:PLACEHOLDER_LENGTH] or None,
        required=False,
        max_length=WORDS_LENGTH,
    )
    form.add_item(field)
    form.stop()  # discord.py would keep it for ever.
    await interaction.response.send_modal(form)


def form_id(kind: str, *ids: int) -> str:
    """Return the id of a form, which says what it is for. Discord takes 100 characters."""
    return ":".join((kind, *map(str, ids)))


def read_form_id(data: Any) -> tuple[str, tuple[int, ...]]:
    """Return the kind of a form that was sent off, and the ids that it is about.

    Both are empty where there is no such thing.
    """
    custom_id = data.get("custom_id") if isinstance(data, dict) else None
    if not isinstance(custom_id, str):
        return "", ()
    kind, *ids = custom_id.split(":")
    return (kind, tuple(map(int, ids))) if all(map(is_snowflake, ids)) else ("", ())


def written_in(data: Any) -> str | None:
    """Return what stands in the one field of a form that was sent off, None where none is there."""
    return next(_values(data), None)


def _values(part: Any) -> Iterator[str]:
    """Yield the values within a form: Discord puts fields into rows or labels."""
    if not isinstance(part, dict):
        return
    if isinstance(part.get("value"), str):
        yield part["value"]
    below = part.get("components")
    for one in [*(below if isinstance(below, list) else ()), part.get("component")]:
        yield from _values(one)
