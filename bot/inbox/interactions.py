"""What commands ask: stored, answered as their answer, and gone on with after a restart."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

import discord

from bot.assistant.assistant import Assistant
from bot.assistant.ports import ContextLoader
from bot.attachments.reader import Attachments
from bot.conversation.exchange import (
    Conversation,
    Exchange,
    FromInteraction,
    OpenQuestion,
    QuestionContext,
    State,
)
from bot.conversation.reply_actions import ALL_ACTIONS, NO_ACTIONS, WHILE_STREAMING, ReplyActions
from bot.conversation.snowflakes import seconds_of
from bot.errors import HistoryFailed, PersonBusy, ReplyDelayed, ReplyLost
from bot.i18n.languages import Languages
from bot.inbox.channels import Channels, readable
from bot.inbox.messages import Inbox
from bot.inbox.user_limits import PersonLimits, Verdict
from bot.replies.destination import Destination, lost_because
from bot.replies.discord_reply import DiscordReply
from bot.replies.interaction_channel import (
    ANSWER_SECONDS,
    FOLLOW_UPS,
    LIFE_SECONDS,
    ButtonPress,
    InteractionChannel,
    Original,
)
from bot.replies.parts import Part
from bot.storage.exchanges import History
from bot.transport.calls import (
    CALL_SECONDS,
    FAILURES,
    GARBLED,
    UNKNOWN_MESSAGE,
    DiscordUnavailable,
    call,
)
from bot.transport.pacer import Pacer, Priority

log = logging.getLogger(__name__)

TURN_SECONDS: Final = 0.5  # beside ANSWER_SECONDS, for what is stored of a question in vain
ACKNOWLEDGED: Final = 40060  # Discord: answered already, as by a call whose answer was lost
T = TypeVar("T")


class Interactions:
    """Takes in what commands ask. Its exchanges have an interaction's id, which no message has."""

    def __init__(
        self,
        client: discord.Client,
        assistant: Assistant,
        history: History,
        inbox: Inbox,
        channels: Channels,
        pacer: Pacer,
        *,
        attachments: Attachments,
        limits: PersonLimits,
        languages: Languages,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._assistant = assistant
        self._history = history
        self._inbox = inbox
        self._channels = channels
        self._pacer = pacer
        self._attachments = attachments
        self._limits = limits
        self._languages = languages
        self._now = now
        self._turning = set[asyncio.Task[None]]()  # asyncio keeps no task that nobody else does

    async def take(
        self, interaction: discord.Interaction, exchange: Exchange
    ) -> tuple[Exchange, DiscordReply] | None:
        """Store a question and show that it is being worked on; return where the answer goes.

        The question is returned as Discord shows its answer: private if only its author sees it.
        None if the question came before or cannot be answered. A slow database does not keep
        Discord waiting. Raises PersonBusy, or ReplyDelayed if the stored question is to be answered
        later.
        """
        receiving = asyncio.create_task(self._received(exchange))
        await asyncio.wait({receiving}, timeout=ANSWER_SECONDS)
        if receiving.done() and not receiving.result():
            return None
        verdict = self._limits.judge(exchange.author_id, seconds_of(exchange.message_id))
        if verdict is not Verdict.ADMITTED:
            log.info("Question %d is one too many of its author's", exchange.message_id)
            await self._turn_away(exchange, receiving)
            raise PersonBusy(self._limits.questions_per_minute)
        began, original = await self._deferred(interaction, exchange)
        if not await receiving:
            return None
        if not began:
            await self._over(exchange)
            return None
        if original is None:
            channel = self._channel(exchange)
            try:
                original = await self._call(channel, channel.original)
            except ReplyLost as error:
                log.warning("Question %d cannot be answered: %s", interaction.id, error)
                await self._over(exchange)
                return None
        exchange = _as_shown(exchange, original)
        await self._record_part(exchange, original.id)
        place = self._destination(exchange, self._channel(exchange), Part(original.id, ""))
        return exchange, self._inbox.reply_to(exchange, nullcontext(place))

    def context_loader(self, about: Sequence[discord.Attachment]) -> ContextLoader:
        """Return what reads the files of the message that is asked about, as those of a quoted one.

        A restart does not know them any more; what was read by then is stored.
        """

        async def load_context(exchange: Exchange) -> QuestionContext:
            if exchange.files or not about:
                return QuestionContext()
            strings = self._languages.of_answer(
                exchange.conversation.guild_id, exchange.private_locale
            )
            return QuestionContext(await self._attachments.read((), about, strings))

        return load_context

    async def reply_by_press(
        self, exchange: Exchange, press: ButtonPress, parts: Sequence[int]
    ) -> DiscordReply | None:
        """Return a reply to *exchange* over the message in which one person alone sees it.

        None where it stands in several *parts*: a press lets only that one be changed which the
        button is under. Raises HistoryFailed.
        """
        if len(parts) != 1:
            return None
        origin = replace(_origin(exchange), token=press.token, pressed_id=press.id)
        pressed = replace(exchange, origin=origin)
        await self._history.set_reply_token(pressed)
        place = self._destination(pressed, self._channel(pressed, parts), Part(parts[0], None))
        return self._inbox.reply_to(pressed, nullcontext(place))

    async def go_on(self, question: OpenQuestion) -> bool:
        """Bring *question* to its end in the messages that were begun; False where that waits.

        One that Discord takes no answer to any more ends without a word, unless the bot sees by
        itself what was begun. Raises HistoryFailed.
        """
        exchange = question.exchange
        if question.withdrawn:
            return await self._withdrawn(question)
        if self._is_answerable(exchange):
            try:
                return await self._answered(question)
            except ReplyDelayed as error:
                log.info("Question %d waits: %s", exchange.message_id, error)
                return False
            except ReplyLost as error:
                log.warning("Cannot resume question %d: %s", exchange.message_id, error)
                return await self.give_up(question)
        if (question.parts or question.complete) and self._is_seen(exchange.conversation):
            return await self._finish(question)
        log.info("Question %d cannot be answered any more", exchange.message_id)
        return await self.give_up(question)

    async def give_up(self, question: OpenQuestion) -> bool:
        """End *question* without a word; what is shown of it stays."""
        message_id = question.exchange.message_id
        if question.withdrawn:
            await self._history.mark_reply_deleted(message_id)
        else:
            await self._history.complete(question.exchange, State.FAILED)
            await self._history.mark_shown(message_id)
        return True

    async def _received(self, exchange: Exchange) -> bool:
        """Store a question; False when it was seen before. What cannot be stored is answered."""
        try:
            is_new = await self._history.receive(exchange)
        except HistoryFailed as error:
            log.warning("Question %d cannot be stored: %s", exchange.message_id, error)
            return True
        if is_new:
            log.debug("In the inbox: question %d", exchange.message_id)
        return is_new

    async def _turn_away(self, exchange: Exchange, receiving: asyncio.Task[bool]) -> None:
        """Keep no word of a question; a database that is late does so when the person was told."""
        turning = asyncio.create_task(self._turned_away(exchange, receiving))
        self._turning.add(turning)
        turning.add_done_callback(self._turning.discard)
        await asyncio.wait({turning}, timeout=TURN_SECONDS)

    async def _turned_away(self, exchange: Exchange, receiving: asyncio.Task[bool]) -> None:
        await receiving
        try:
            await self._history.erasure.reject(exchange.message_id)
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", exchange.message_id, error)

    async def _deferred(
        self, interaction: discord.Interaction, exchange: Exchange
    ) -> tuple[bool, Original | None]:
        """Defer the answer; return whether it may be shown, and its first message.

        If Discord's response is lost or garbled, it may be shown, and the message is not known.
        """
        private = bool(exchange.conversation.person_id)
        try:
            async with asyncio.timeout(CALL_SECONDS):
                begun = await interaction.response.defer(ephemeral=private, thinking=True)
        except (*FAILURES, *GARBLED) as error:
            kind = type(error).__name__
            log.info("Whether %d may be answered is not known: %s", interaction.id, kind)
        except discord.HTTPException as error:
            if error.code != ACKNOWLEDGED:
                log.warning("Question %d cannot be answered: code %d", interaction.id, error.code)
                return False, None
        else:
            if begun is not None and begun.message_id is not None:
                return True, Original(begun.message_id, begun.is_ephemeral())
        return True, None

    async def _over(self, exchange: Exchange) -> None:
        try:
            await self._history.complete(exchange, State.FAILED)
            await self._history.mark_shown(exchange.message_id)
        except HistoryFailed as error:
            log.warning("Question %d is not recorded: %s", exchange.message_id, error)

    async def _record_part(self, exchange: Exchange, part_id: int) -> None:
        try:
            await self._history.add_part(exchange.message_id, part_id)
        except HistoryFailed as error:  # It can be looked for.
            log.warning("A part of answer %d is not recorded: %s", exchange.message_id, error)

    async def _answered(self, question: OpenQuestion) -> bool:
        """Answer *question* by its token; False if postponed. Raises ReplyLost, ReplyDelayed.

        The bot may have stopped before Discord said who sees the answer. So that is fetched first:
        which conversation remembers the answer depends on it.
        """
        exchange, original = question.exchange, None
        if not exchange.conversation.person_id and not question.complete:
            channel = self._channel(exchange, question.parts)
            original = await self._call(channel, channel.original)
            exchange = _as_shown(exchange, original)
        place = self._begun_place(exchange, question.parts, original)
        reply = self._inbox.reply_to(exchange, place)
        return (await self._assistant.go_on(exchange, reply)).done

    @asynccontextmanager
    async def _begun_place(
        self, exchange: Exchange, part_ids: Sequence[int], original: Original | None
    ) -> AsyncIterator[Destination]:
        channel = self._channel(exchange, part_ids)
        if original is None and not part_ids:
            original = await self._call(channel, channel.original)
        texts = {} if original is None else {original.id: original.text}
        if original is not None and original.id not in part_ids:
            await self._record_part(exchange, original.id)
        parts = list[Part]()
        for part_id in sorted({*part_ids, *texts}):
            if part_id not in texts:
                texts[part_id] = await self._call(channel, partial(channel.text_of, part_id))
            parts.append(Part(part_id, texts[part_id]))
        yield self._destination(exchange, channel, *parts)

    def _destination(
        self, exchange: Exchange, channel: InteractionChannel, *parts: Part
    ) -> Destination:
        place = exchange.conversation
        room = None if self._is_at_home(place) else 1 + FOLLOW_UPS
        of_many = WHILE_STREAMING if place.person_id else ALL_ACTIONS
        return Destination(channel, None, parts, room, self._offers_in(place), of_many)

    def _is_at_home(self, place: Conversation) -> bool:
        """Whether the bot is in the guild of that place."""
        return place.guild_id is not None and self._client.get_guild(place.guild_id) is not None

    def _offers_in(self, place: Conversation) -> ReplyActions:
        """Return what may be done with an answer there.

        What is offered when it has ended is to work when the token is over, too: where the bot sees
        it by itself, or by the token of the press, which nobody but the person can give.
        """
        seen = self._is_at_home(place) and self._is_seen(place)
        return ALL_ACTIONS if place.person_id or seen else NO_ACTIONS

    def _is_seen(self, place: Conversation) -> bool:
        """Whether the bot, too, sees what is shown there: then it can go on with it for ever."""
        if place.person_id:
            return False
        return readable(self._channels.at(place.channel_id, place.guild_id))

    def _channel(self, exchange: Exchange, parts: Sequence[int] = ()) -> InteractionChannel:
        """Return by what an exchange is answered; *parts* are what shows the answer already."""
        origin = _origin(exchange)
        return InteractionChannel(
            self._client,
            origin.pressed_id or exchange.message_id,
            origin.token,
            place_id=exchange.place_id,
            private=bool(exchange.conversation.person_id),
            pressed_on=parts[0] if origin.pressed_id is not None and parts else None,
        )

    def _is_answerable(self, exchange: Exchange) -> bool:
        origin = _origin(exchange)
        age_seconds = self._now() - seconds_of(origin.pressed_id or exchange.message_id)
        return bool(origin.token) and age_seconds < LIFE_SECONDS

    async def _finish(self, question: OpenQuestion) -> bool:
        """End *question* in messages that the bot sees by itself; the model is not asked any more.

        False where that waits.
        """
        exchange, parts = question.exchange, list[Part]()
        channel = self._channels.at(exchange.place_id, exchange.conversation.guild_id)
        for part_id in question.parts:
            try:
                seen = await call(
                    partial(channel.fetch_message, part_id), self._pacer, Priority.RESPONSE
                )
            except DiscordUnavailable as error:
                log.info("Question %d waits: %s", exchange.message_id, error)
                return False
            except discord.HTTPException as error:
                if error.code == UNKNOWN_MESSAGE:  # Somebody deleted it, and so all of it.
                    await self._assistant.forget(exchange.message_id)
                    return await self._withdrawn(question)
                parts.append(Part(part_id, None))
            else:
                parts.append(Part(part_id, seen.content))
        place = Destination(channel, None, tuple(parts))
        reply = self._inbox.reply_to(exchange, nullcontext(place))
        return (await self._assistant.go_on(exchange, reply, too_late=True)).done

    async def _withdrawn(self, question: OpenQuestion) -> bool:
        """Withdraw what is shown of a forgotten question; False where that is to be done later."""
        exchange = question.exchange
        parts = tuple(Part(part_id, None) for part_id in question.parts)
        try:
            if self._is_answerable(exchange):
                channel = self._channel(exchange, question.parts)
                await self._withdraw(exchange, Destination(channel, None, parts))
            elif self._is_seen(exchange.conversation):
                async with self._inbox.reply_over(exchange, question.parts) as reply:
                    await reply.withdraw()
        except ReplyDelayed as error:
            log.info("The answer to %d is deleted later: %s", exchange.message_id, error)
            return False
        except ReplyLost as error:
            log.info("The answer to %d cannot be deleted: %s", exchange.message_id, error)
        await self._history.mark_reply_deleted(exchange.message_id)
        return True

    async def _withdraw(self, exchange: Exchange, place: Destination) -> None:
        async with self._inbox.reply_to(exchange, nullcontext(place)) as reply:
            await reply.withdraw()

    async def _call(self, channel: InteractionChannel, request: Callable[[], Awaitable[T]]) -> T:
        """Make a call of Discord's; raises ReplyLost where it is refused, or ReplyDelayed."""
        try:
            return await call(request, self._pacer, Priority.RESPONSE)
        except DiscordUnavailable as error:
            raise ReplyDelayed(str(error)) from error
        except discord.HTTPException as error:
            raise lost_because(error, channel) from error


def _as_shown(exchange: Exchange, original: Original) -> Exchange:
    """Return *exchange*, made private if Discord shows the answer to its author only.

    Discord may do that even if a public answer was chosen. It says so in its response to the
    deferral and in the message's flags.
    """
    if not original.private:
        return exchange
    place = replace(exchange.conversation, person_id=exchange.author_id)
    return replace(exchange, conversation=place)


def _origin(exchange: Exchange) -> FromInteraction:
    assert isinstance(exchange.origin, FromInteraction), "a command asked it"
    return exchange.origin
