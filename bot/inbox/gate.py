"""Check people against the access lists; log and count those who are refused."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import discord

from bot.access import AccessLists, Ids, Place, Rule, Verdict
from bot.bounded import BoundedDict
from bot.conversation.exchange import Exchange
from bot.errors import ReplyDelayed
from bot.inbox import addressing
from bot.inbox.channels import Channels
from bot.live import Live
from bot.log_events import as_event
from bot.metrics import NO_METRICS, Metrics
from bot.transport.calls import DiscordUnavailable
from bot.transport.members import role_ids

log = logging.getLogger(__name__)

LOG_SECONDS: Final = 60.0  # between two lines about one person
MAX_PERSONS: Final = 10_000  # whose refusals are counted
MAX_NOTED: Final = 10_000  # refused messages and interactions that are remembered
UNKNOWN: Final = (Rule.UNKNOWN_CHANNEL, Rule.UNKNOWN_ROLES)  # They may be known later.
MEMBER_SECONDS: Final = 60.0  # how long a fetched member is cached
MAX_MEMBERS: Final = 1000
FETCH_SECONDS: Final = 3.0  # A question waits for it.


class Gate:
    """Judges messages, stored questions and interactions by the *lists* in force."""

    def __init__(
        self,
        lists: Live[AccessLists],
        channels: Channels,
        metrics: Metrics = NO_METRICS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lists = lists
        self._channels = channels
        self._metrics = metrics
        self._clock = clock
        self._members = BoundedDict[tuple[int, int], tuple[float, discord.Member | None]](
            MAX_MEMBERS
        )
        self._noted = BoundedDict[int, Rule](MAX_NOTED)
        self._refusals = RefusalLog()

    @property
    def lists(self) -> AccessLists:
        """The lists in force."""
        return self._lists.value

    def judge_interaction(self, interaction: discord.Interaction) -> Verdict:
        """Judge who uses a command, a modal or a button. Makes no request."""
        place = place_of(interaction.channel, interaction.channel_id or 0, interaction.guild_id)
        person = interaction.user
        verdict = self.lists.verdict(place, person.id, role_ids(person))
        self._note("interaction", interaction.id, place, person.id, verdict)
        return verdict

    async def admits(self, message: discord.Message) -> bool:
        """Whether the author of *message* may use the bot; False if that cannot be found out."""
        place, author = _place_of(message), message.author
        verdict = self.lists.verdict(place, author.id, role_ids(author))
        with suppress(DiscordUnavailable, TimeoutError):
            async with asyncio.timeout(FETCH_SECONDS):
                verdict = await self._judge(place, author.id, role_ids(author))
        self._note("message", message.id, place, author.id, verdict)
        return verdict.allowed

    async def admits_missed(self, message: discord.Message) -> bool:
        """Whether the author of a missed *message* may use the bot.

        A message that was refused when it came stays refused, even if the lists have changed since.
        Raises DiscordUnavailable; then backfill finds the message again later.
        """
        if self._noted.get(message.id, UNKNOWN[0]) not in UNKNOWN:
            return False
        place, author = _place_of(message), message.author
        verdict = await self._judge(place, author.id, role_ids(author))
        self._note("message", message.id, place, author.id, verdict)
        _, member = self._members.get((place.guild_id or 0, author.id), (0.0, None))
        if member is not None and not isinstance(author, discord.Member):
            message.author = member  # Lists of messages leave out the name in the guild.
        return verdict.allowed

    async def admits_stored(self, exchange: Exchange) -> bool:
        """Whether the author of a stored question may still use the bot; raises ReplyDelayed."""
        asked_in, person_id = exchange.conversation, exchange.author_id
        channel = self._channels.at(asked_in.channel_id, asked_in.guild_id)
        place = place_of(channel, asked_in.channel_id, asked_in.guild_id)
        try:
            verdict = await self._judge(place, person_id, None)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error
        self._note("question", exchange.message_id, place, person_id, verdict)
        return verdict.allowed

    async def _judge(self, place: Place, person_id: int, roles: Ids | None) -> Verdict:
        """Judge a person; fetch what is not known if the verdict depends on it.

        Raises DiscordUnavailable.
        """
        verdict = self.lists.verdict(place, person_id, roles)
        if verdict.rule is Rule.UNKNOWN_CHANNEL:
            place = await self._fetched_place(place)
            verdict = self.lists.verdict(place, person_id, roles)
        if verdict.rule is Rule.UNKNOWN_ROLES and place.guild_id is not None:
            roles = role_ids(await self._member(place.guild_id, person_id))
            verdict = self.lists.verdict(place, person_id, roles)
        return verdict

    async def _fetched_place(self, place: Place) -> Place:
        """Return *place* with the channels above it, as far as Discord lets the bot see them."""
        place_id, guild_id = place.channel_ids[0], place.guild_id
        try:
            channel = await self._channels.find(place_id)
            fetched = place_of(channel, place_id, guild_id)
            if isinstance(channel, discord.Thread) and not fetched.complete:
                parent = await self._channels.find(channel.parent_id)
                above = place_of(parent, channel.parent_id, guild_id)
                fetched = above._replace(channel_ids=(place_id, *above.channel_ids))
        except discord.DiscordException as error:
            log.info("Cannot fetch channel %d: %s", place_id, type(error).__name__)
            return place
        return fetched

    async def _member(self, guild_id: int, person_id: int) -> discord.Member | None:
        """Return a member, None if Discord knows none; raises DiscordUnavailable."""
        kept = self._members.get((guild_id, person_id))
        if kept is not None and self._clock() - kept[0] < MEMBER_SECONDS:
            return kept[1]
        try:
            member = await self._channels.member(guild_id, person_id)
        except discord.DiscordException as error:
            log.info("Cannot fetch member %d: %s", person_id, type(error).__name__)
            member = None
        self._members[guild_id, person_id] = self._clock(), member
        return member

    def _note(self, kind: str, id_: int, place: Place, person_id: int, verdict: Verdict) -> None:
        """Count a refusal, and log it unless the last line about the person is too recent.

        Backfill finds a refused message again, since it is not stored: it counts once.
        """
        if verdict.allowed or id_ in self._noted:
            return
        self._noted[id_] = verdict.rule
        self._metrics.refused(verdict.rule.value)
        left_out = self._refusals.left_out(person_id, self._clock())
        if left_out is not None:
            more = f", and {left_out} more since the last line" if left_out else ""
            log.info(
                "Refuse person %d in %s: %s (%s %d%s)",
                *(person_id, place, verdict, kind, id_, more),
                extra=as_event(
                    "person_refused",
                    person=person_id,
                    place=place.channel_ids[0],
                    guild=place.guild_id,
                    outcome=verdict.rule.value,
                ),
            )


class RefusalLog:
    """Decides which refusals are logged: at most one of each person in LOG_SECONDS."""

    def __init__(self) -> None:
        self._noted = BoundedDict[int, tuple[float, int]](MAX_PERSONS)

    def left_out(self, person_id: int, now: float) -> int | None:
        """Return how many refusals were left out since the last line; None leaves this one out."""
        at, count = self._noted.get(person_id, (now - LOG_SECONDS, 0))
        if now - at < LOG_SECONDS:
            self._noted[person_id] = at, count + 1
            return None
        self._noted[person_id] = now, 0
        return count


def _place_of(message: discord.Message) -> Place:
    channel = message.channel
    return place_of(channel, channel.id, addressing.guild_id_of(message))


def place_of(channel: Any, channel_id: int, guild_id: int | None) -> Place:
    """Return a place with the channels above it, as far as discord.py has cached them."""
    if guild_id is None:
        return Place(None, (channel_id,))
    if isinstance(channel, discord.Thread):
        above = place_of(channel.parent, channel.parent_id, guild_id)
        return above._replace(channel_ids=(channel_id, *above.channel_ids))
    if isinstance(channel, discord.abc.GuildChannel):
        category_id = channel.category_id
        return Place(guild_id, (channel_id, *([] if category_id is None else [category_id])))
    return Place(guild_id, (channel_id,), complete=False)
