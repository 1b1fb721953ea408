"""Bring the messages of a reply in line with a plan: post, edit and delete them."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Final, Protocol

import discord

from bot.conversation.reply_actions import NO_ACTIONS, ReplyActions
from bot.errors import ReplyDelayed, ReplyLost
from bot.i18n.sentences import Sentences
from bot.replies.buttons import actions_under, buttons
from bot.replies.destination import Channel, Destination, lost_because, place_id_of, refused
from bot.replies.parts import Part
from bot.replies.plan import PlannedPart, final_plan, next_change
from bot.replies.reply_requests import ReplyRequests
from bot.transport.pacer import Priority
from bot.transport.permissions import TO_ATTACH, reason_of_refusal

NO_HISTORY_TO_REPLY: Final = 160002  # Discord: a reply needs Read Message History
FILE_NAME: Final = "reply.md"
NO_PINGS: Final = discord.AllowedMentions.none()


class FileRefused(Exception):
    """Discord refuses a message with the file of a reply, because of the file or the text."""


class ReplyRecord(Protocol):
    """What is stored of the messages that show the reply to one exchange."""

    @property
    def exchange_id(self) -> int:
        """The id of the exchange."""

    async def add(self, message_id: int) -> None:
        """Record a message that was posted."""

    async def remove(self, message_id: int) -> None:
        """Record that a message is about to be deleted; raises ReplyDelayed if that fails."""


class MessageSync:
    """The messages of one reply in *destination*, as Discord shows them and as *record* knows them.

    Discord returns the earlier message if a post repeats its nonce, which begins with *nonce_id*.
    *on_post* is called after each post.
    """

    def __init__(
        self,
        destination: Destination,
        requests: ReplyRequests,
        record: ReplyRecord,
        strings: Sentences,
        nonce_id: int,
        on_post: Callable[[], object],
    ) -> None:
        self.destination = destination
        self.parts = list(destination.begun)
        self.changed_id: int | None = None  # the message that was posted or edited last
        self._requests = requests
        self._record = record
        self._strings = strings
        self._nonce_id = nonce_id
        self._on_post = on_post
        self._deleted = 0
        self._refilled = False
        self._edits_refused: ReplyLost | None = None

    def replace_text(self) -> None:
        """Mark the shown text of this attempt as outdated."""
        for part in self.parts:
            if part.is_current:
                part.text = None

    def valid_parts(self) -> list[Part]:
        """Return the parts before the first one whose text is outdated."""
        return list(takewhile(_is_valid, self.parts))

    def may_delete_last(self, planned: int) -> bool:
        """Whether to delete the last part because it is outdated and not among *planned* parts.

        If the number of posts is limited, the part is kept and written over instead.
        """
        if len(self.parts) <= planned or self.destination.max_posts is not None:
            return False
        return not _is_valid(self.parts[-1])

    async def show(
        self,
        texts: Sequence[str | None],
        actions: ReplyActions,
        *,
        kept: Sequence[Part] = (),
        file: str = "",
    ) -> None:
        """Show the *kept* parts and *texts* as `final_plan` says, and delete all other parts.

        Raises ReplyLost, ReplyBlocked, ReplyDelayed or FileRefused.
        """
        allowed = self.destination.allowed(actions, len(kept) + len(texts))
        plan = final_plan(kept, texts, allowed, file)
        while (number := next_change(self.parts, plan)) is not None:
            await self.change(number, plan[number], Priority.FINAL)
        await self.delete_from(len(plan))

    async def show_buttons(self, actions: ReplyActions) -> None:
        """Keep the text of all parts, and show *actions* under the last one."""
        await self.show([None for _ in self.parts[-1:]], actions, kept=self.parts[:-1])

    async def change(self, number: int, planned: PlannedPart, priority: Priority) -> None:
        """Post or edit a part; raises ReplyLost, ReplyBlocked, ReplyDelayed or FileRefused."""
        if number == len(self.parts):
            await self._post(planned, min(priority, Priority.RESPONSE))
            return
        if self._edits_refused is not None:
            raise self._edits_refused
        try:
            await self._edit(self.parts[number], planned, priority)
        except ReplyLost as error:
            self._edits_refused = error
            raise

    async def delete_from(self, number: int) -> None:
        """Delete the parts from *number* on, the last one first, so that no reference breaks.

        Each is recorded as removed before Discord reports its deletion, which would otherwise count
        as a deletion by a person. Raises ReplyLost or ReplyDelayed.
        """
        channel = self.destination.channel
        while len(self.parts) > number:
            part = self.parts[-1]
            await self._record.remove(part.message_id)
            self.parts.pop()
            self._deleted += 1
            message = channel.get_partial_message(part.message_id)
            try:
                await self._requests.make(channel, message.delete, Priority.RESPONSE)
            except discord.NotFound:
                continue
            except ReplyDelayed:  # It still exists, and recovery has to find it.
                self.parts.append(part)
                await self._record.add(part.message_id)
                raise
            except discord.HTTPException as error:
                raise lost_because(error, channel) from error

    async def _post(self, planned: PlannedPart, priority: Priority) -> None:
        channel = self.destination.channel
        text, actions = planned.text or "", planned.actions or NO_ACTIONS
        nonce = f"{self._nonce_id}.{self._deleted + len(self.parts)}"

        async def send(reference: discord.MessageReference | None) -> discord.Message:
            message = await channel.send(
                text,
                reference=reference,  # type: ignore[arg-type]  # None is allowed, not annotated.
                nonce=nonce,
                suppress_embeds=True,
                allowed_mentions=NO_PINGS,
                view=buttons(self._strings, actions),  # type: ignore[arg-type]  # The same.
                files=_files(planned.file),
            )
            # Within the request, so that a reply that is cancelled now does not lose the message.
            await self._record.add(message.id)
            return message

        reference = self._reference()
        with _explained(planned, channel):
            try:
                message = await self._requests.make(channel, lambda: send(reference), priority)
            except discord.HTTPException as error:
                if error.code != NO_HISTORY_TO_REPLY:
                    raise
                message = await self._requests.make(channel, lambda: send(None), priority)
        self._on_post()
        self._take_posted(message, planned)

    def _reference(self) -> discord.MessageReference | None:
        """Return what the next part replies to: the part before it, or the question."""
        if not self.parts:
            return self.destination.reference
        return discord.MessageReference(
            message_id=self.parts[-1].message_id,
            channel_id=place_id_of(self.destination.channel),
            fail_if_not_exists=False,
        )

    def _take_posted(self, message: discord.Message, planned: PlannedPart) -> None:
        """Take note of the message that Discord returned for the post of a *planned* part.

        Discord may put the text into an existing message that is still loading. That is accepted
        once; the second time raises ReplyDelayed.
        """
        text, content = planned.text or "", (message.content or "").strip()
        is_same = content == text.strip()
        # Otherwise Discord knows the nonce: an earlier post succeeded, with the text of that time.
        posted = Part(
            message.id,
            text if is_same else content,
            actions_under(message),
            file=(planned.file if message.attachments else "") if is_same else None,
            is_current=is_same,
        )
        self.changed_id = message.id
        for part in self.parts:
            if part.message_id == posted.message_id:
                part.text, part.actions, part.file = posted.text, posted.actions, posted.file
                if self._refilled:
                    raise ReplyDelayed("Discord puts new posts into an existing message")
                self._refilled = True
                return
        self.parts.append(posted)

    async def _edit(self, part: Part, planned: PlannedPart, priority: Priority) -> None:
        channel = self.destination.channel
        # A partial message sends no flags with its edits, so that link previews stay off.
        message = channel.get_partial_message(part.message_id)
        unchanged = discord.utils.MISSING
        # A part of an earlier attempt may have a file that must be removed.
        replaces_file = planned.text is not None and part.file != planned.file

        async def edit() -> None:
            await message.edit(
                content=unchanged if planned.text is None else planned.text,
                allowed_mentions=NO_PINGS,
                view=(
                    unchanged
                    if planned.actions is None
                    else buttons(self._strings, planned.actions)
                ),
                attachments=_files(planned.file) if replaces_file else unchanged,
            )

        if replaces_file:
            part.file = None  # If the request fails, Discord may have taken the file.
        with _explained(planned, channel):
            await self._requests.make(channel, edit, priority, edited_id=part.message_id)
        self.changed_id = part.message_id
        if planned.actions is not None:
            part.actions = planned.actions
        if planned.text is not None:
            part.text, part.file, part.is_current = planned.text, planned.file, True


@contextmanager
def _explained(planned: PlannedPart, channel: Channel) -> Iterator[None]:
    """Translate the failure of a request for a *planned* part into an error of the reply.

    A request with a file has many reasons of its own to fail, so any failure is a FileRefused. If
    the text or the place is the reason, Discord refuses the text without the file, too.
    """
    try:
        yield
    except ReplyDelayed as error:
        if planned.file:
            raise FileRefused(str(error)) from error
        raise
    except discord.HTTPException as error:
        if planned.file:
            raise FileRefused(reason_of_refusal(error, channel, TO_ATTACH)) from error
        raise refused(error, channel) from error


def _is_valid(part: Part) -> bool:
    return part.text is not None or not part.is_current


def _files(text: str) -> list[discord.File]:
    """Return *text* as a file, none for ""; each request closes the file that it sends."""
    data = io.BytesIO(text.encode(errors="replace"))
    return [discord.File(data, FILE_NAME)] if text else []
