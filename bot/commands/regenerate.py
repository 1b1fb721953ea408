"""Regenerate or continue a stored reply, in the messages that show it."""

from enum import Enum, auto

from bot.assistant.assistant import Assistant, Delivery
from bot.conversation.exchange import Exchange
from bot.conversation.reply_actions import ReplyAction
from bot.conversation.snowflakes import seconds_of
from bot.errors import PersonBusy
from bot.inbox.interactions import Interactions
from bot.inbox.messages import Inbox
from bot.inbox.questions import Questions
from bot.inbox.user_limits import PersonLimits, Verdict
from bot.recovery.catch_up import CatchUp
from bot.replies.discord_reply import DiscordReply
from bot.replies.interaction_channel import ButtonPress
from bot.storage.exchanges import History


class RegenerateResult(Enum):
    """What became of a press of Regenerate or Continue."""

    DONE = auto()
    RUNNING = auto()  # the reply is being written already
    FORGOTTEN = auto()


class Regenerator:
    """Regenerates or continues a reply while it holds the claim on the question.

    That counts against the person's rate limit like a question.
    """

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        questions: Questions,
        inbox: Inbox,
        interactions: Interactions,
        catch_up: CatchUp,
        limits: PersonLimits,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._questions = questions
        self._inbox = inbox
        self._interactions = interactions
        self._catch_up = catch_up
        self._limits = limits

    async def regenerate(
        self,
        exchange: Exchange,
        renewal: ReplyAction,
        press: ButtonPress,
        *,
        person_id: int,
        me_id: int,
    ) -> RegenerateResult:
        """Write a reply anew, or go on with it; raises PersonBusy or HistoryFailed."""
        message_id = exchange.message_id
        with self._inbox.holding(message_id, is_stored=True) as free:
            if not free:
                return RegenerateResult.RUNNING
            if self._limits.judge(person_id, seconds_of(press.id)) is not Verdict.ADMITTED:
                raise PersonBusy(self._limits.questions_per_minute)
            delivery = Delivery.DEFERRED
            try:
                reply = await self._reply(exchange, press)
                load_context = self._questions.context_reloader(me_id)
                delivery = (
                    await self._assistant.renew(
                        exchange, reply, renewal, person_id, load_context=load_context
                    )
                    if reply is not None
                    else Delivery.GONE
                )
            finally:
                self._catch_up.released(message_id, exchange.queue_key, done=delivery.done)
        if delivery is Delivery.GONE:
            self._catch_up.again()  # The question may still be open.
            return RegenerateResult.FORGOTTEN
        return RegenerateResult.DONE

    async def _reply(self, exchange: Exchange, press: ButtonPress) -> DiscordReply | None:
        """Return a reply over the messages that show it, None if they cannot be edited any more."""
        parts = await self._history.parts_of(exchange.message_id)
        if exchange.conversation.person_id:
            return await self._interactions.reply_by_press(exchange, press, parts)
        return self._inbox.reply_over(exchange, parts, nonce_id=press.id)
