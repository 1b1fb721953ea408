"""Change and forget exchanges, and end the answers that this concerns."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from weakref import WeakSet

from bot.assistant.answer import Answer, StopReason
from bot.assistant.ports import RenameThread, no_threads
from bot.assistant.screening import NO_SCREENER, Screener, Screening
from bot.conversation.exchange import Conversation, Exchange
from bot.conversation.prompt import exchange_tokens
from bot.conversation.prompt_markup import kept_files, requoted
from bot.i18n.languages import Languages
from bot.storage.exchanges import History
from bot.storage.usage import NOBODY


class Conversations:
    """Changes and forgets exchanges, and ends the answers to those that are forgotten.

    *active* are the answers that are being made or wait in their queues, by message id. *screener*
    checks what people ask and edit. *rename_thread* renames a thread that the bot made from a
    question. *siblings* are those of all shards of the process. The coroutines raise HistoryFailed.
    """

    def __init__(
        self,
        history: History,
        languages: Languages,
        screener: Screener = NO_SCREENER,
        rename_thread: RenameThread = no_threads,
        siblings: WeakSet["Conversations"] | None = None,
    ) -> None:
        self.active: dict[int, Answer] = {}
        self._history = history
        self._languages = languages
        self._screener = screener
        self._rename_thread = rename_thread
        self._siblings = WeakSet["Conversations"]() if siblings is None else siblings
        self._siblings.add(self)

    async def reset(self, conversation: Conversation, before_id: int) -> int:
        """Forget the exchanges of a place before *before_id*; return how many there were.

        That is what everybody sees there, and what only the person of *conversation* sees. Answers
        to it end with a notice.
        """
        notice = self._languages.of_guild(conversation.guild_id).stopped_by_reset
        count = await self._history.erasure.reset(
            conversation.channel_id, before_id, notice, person_id=conversation.person_id
        )
        for answer in self._in_places({conversation.channel_id}):
            asked = answer.exchange
            is_seen = asked.conversation.person_id in {0, conversation.person_id}
            if is_seen and asked.message_id < before_id:
                answer.cancellation.cancel(StopReason.RESET)
        return count

    def streaming(self) -> int:
        """Return how many answers have begun and not ended."""
        return sum(answer.generation.begun for answer in self.active.values())

    def stop_answers(self, reason: StopReason) -> None:
        """End all answers."""
        _cancel(self.active.values(), reason)

    async def forget_person(self, author_id: int) -> int:
        """Forget what somebody asked, with its answers; return how many exchanges."""
        # Before the usage is anonymised, so that none is counted as theirs afterwards.
        for answer in self._of_author(author_id):
            _anonymise(answer)
        count = await self._history.erasure.forget_person(author_id)
        _cancel(self._of_author(author_id), StopReason.FORGOTTEN)
        return count

    def abandon(self, message_id: int) -> None:
        """End the answer to a question, if there is one, without a notice."""
        if answer := self.active.get(message_id):
            answer.cancellation.cancel(StopReason.FORGOTTEN)

    def withdraw(self, message_id: int) -> None:
        """End the answer to a question that is forgotten in the database already."""
        answer = self.active.get(message_id)
        if answer is not None and answer.cancellation.cancel(StopReason.FORGOTTEN):
            _anonymise(answer)  # Another process forgot its author: here, the reason would be set.

    async def forget(self, message_id: int) -> bool:
        """Forget a question and end its answer; False if it was unknown.

        The parts of its reply are to be deleted.
        """
        self.abandon(message_id)
        return await self._history.erasure.forget(message_id)

    async def forget_places(self, place_ids: Sequence[int]) -> None:
        """Forget the exchanges of deleted places, and cancel the answers there."""
        _cancel(self._in_places(place_ids), StopReason.FORGOTTEN)
        for answer in self.active.values():
            if answer.exchange.conversation.top_id in place_ids:
                answer.usage_person_id = None
        await self._history.erasure.forget_places(place_ids)

    async def amend(
        self, message_id: int, question: str, *, embedded: str, files: Collection[str]
    ) -> None:
        """Replace a question by its edited text, with those *files*, by name, that are left."""
        exchange = await self._history.find(message_id)
        if exchange is None:
            return
        kept = kept_files(exchange.files, files)
        amended = replace(exchange, question=question, embedded=embedded, files=kept)
        if amended != exchange:
            await self._amend(amended)

    async def requote(self, message_id: int, quotation: str) -> None:
        """Replace what questions quote of a message; "" removes it."""
        for exchange in await self._history.quoting(message_id):
            quoted = requoted(quotation, exchange.quoted)
            if exchange.quoted != quoted:
                amend = self._amend if quotation else self.store_amended
                await amend(replace(exchange, quoted=quoted))

    async def store_amended(self, exchange: Exchange) -> None:
        """Store a changed question."""
        await self._history.amend(replace(exchange, tokens=exchange_tokens(exchange)))

    async def _amend(self, exchange: Exchange) -> None:
        await self.store_amended(exchange)
        self._screener.recheck(exchange, self._withhold)

    def screening(self, answer: Answer, quotations: Sequence[str]) -> Screening:
        """Return the check of the question of *answer*, with the *quotations* above it."""
        return self._screener.screen(answer, quotations, self._withhold)

    async def _withhold(self, question: Exchange) -> None:
        """Erase a question that was flagged; if it is being answered, say so in its place."""
        answer = self.active.get(question.message_id)
        if answer is None or not answer.cancellation.cancel(StopReason.WITHHELD):
            await self._history.erasure.withhold(question.message_id)
            await self.clear_title(question)

    async def clear_title(self, question: Exchange) -> None:
        """Take the words of a withheld question out of the name of the thread of its answer."""
        if question.opens_thread:
            strings = self._languages.of_guild(question.conversation.guild_id)
            await self._rename_thread(question.place_id, strings.withheld_title)

    def _in_places(self, place_ids: Collection[int]) -> list[Answer]:
        """Return the active answers whose question or reply is in one of these places."""
        return [
            answer
            for answer in self.active.values()
            if answer.exchange.place_id in place_ids
            or answer.exchange.conversation.channel_id in place_ids
        ]

    def _of_author(self, author_id: int) -> list[Answer]:
        """Return the active answers to a person, in all shards of this process."""
        return [
            answer
            for sibling in set(self._siblings)
            for answer in sibling.active.values()
            if answer.exchange.author_id == author_id
        ]


def _anonymise(answer: Answer) -> None:
    """Let the usage of *answer* count for nobody."""
    in_guild = answer.exchange.conversation.guild_id is not None
    answer.usage_person_id = NOBODY if in_guild else None


def _cancel(answers: Iterable[Answer], reason: StopReason) -> None:
    for answer in answers:
        answer.cancellation.cancel(reason)
