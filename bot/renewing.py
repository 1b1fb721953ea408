"""A stored reply that is made anew, or gone on with, in the messages that show it."""

from bot.assistant import Assistant
from bot.catch_up import CatchUp
from bot.conversation import Exchange
from bot.history import History
from bot.inbox import Inbox
from bot.limits import PersonLimits, Verdict
from bot.offers import Offer


class Renewals:
    """Renews replies, each in nobody else's hands meanwhile. A renewal counts as a question."""

    def __init__(
        self,
        assistant: Assistant,
        history: History,
        inbox: Inbox,
        catch_up: CatchUp,
        limits: PersonLimits,
    ) -> None:
        self._assistant = assistant
        self._history = history
        self._inbox = inbox
        self._catch_up = catch_up
        self._limits = limits

    @property
    def most_a_minute(self) -> int:
        """How many questions and renewals one person may ask for in a minute."""
        return self._limits.questions_per_minute

    def admits(self, person_id: int, at: float) -> bool:
        """Count a renewal that somebody asks for at a time, unless it is one too many."""
        return self._limits.judge(person_id, at) is Verdict.ADMITTED

    async def renew(self, exchange: Exchange, renewal: Offer) -> bool:
        """See a reply renewed; False where it is being made. Raises HistoryFailed."""
        message_id = exchange.message_id
        with self._inbox.holding(message_id, is_stored=True) as free:
            if not free:
                return False
            done = False
            try:
                parts = await self._history.parts_of(message_id)
                reply = self._inbox.reply_over(exchange, parts)
                done = await self._assistant.renew(exchange, reply, renewal)
            finally:
                self._catch_up.released(message_id, exchange.place_id, done=done)
        return True
