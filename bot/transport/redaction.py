"""Remove keys from what people wrote, where Discord's events and responses come in.

All messages and interactions pass here before anything else reads them, so that no later step,
such as the database, the prompt, a thread's title or the log, can forget to do it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from bot.transport.payload_checks import MESSAGE_MENU

Redact = Callable[[str], str]

# The fields with the words of a message, and of a command or modal.
_OF_MESSAGES: Final = ("content", "embeds", "components", "sticker_items", "poll")
_OF_INTERACTIONS: Final = ("options", "components")
_OF_FILES: Final = ("filename", "title")  # The addresses of a file must stay as they are.


class PayloadRedaction:
    """Removes keys, with *redact*, from payloads that were checked and corrected.

    The bot's own messages stay as they are, because they are compared with what it stored.
    *own_id* returns its id, None if that is not known yet.
    """

    def __init__(self, redact: Redact, own_id: Callable[[], int | None]) -> None:
        self._redact = redact
        self._own_id = own_id

    def event(self, name: str, data: Any) -> Any:
        """Return the data of the event *name* without keys."""
        if name == "INTERACTION_CREATE":
            return self._interaction(data)
        return self.message(data) if name in {"MESSAGE_CREATE", "MESSAGE_UPDATE"} else data

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return *message* without keys, with a message that it replies to."""
        kept = dict(message)
        if kept.get("referenced_message"):
            kept["referenced_message"] = self.message(kept["referenced_message"])
        return kept if self._is_own(kept) else kept | self._contents(kept)

    def _is_own(self, message: Mapping[str, Any]) -> bool:
        author = message.get("author")
        return isinstance(author, dict) and str(author.get("id")) == str(self._own_id())

    def _contents(self, message: Mapping[str, Any]) -> dict[str, Any]:
        contents = self._fields(message, _OF_MESSAGES)
        if message.get("attachments"):
            files = message["attachments"]
            contents["attachments"] = [one | self._fields(one, _OF_FILES) for one in files]
        if message.get("message_snapshots"):
            forwarded = [one["message"] for one in message["message_snapshots"]]
            contents["message_snapshots"] = [
                {"message": one | self._contents(one)} for one in forwarded
            ]
        return contents

    def _interaction(self, interaction: dict[str, Any]) -> dict[str, Any]:
        data = interaction.get("data")
        if not isinstance(data, dict):
            return interaction
        changed = self._fields(data, _OF_INTERACTIONS)
        if data.get("type") == MESSAGE_MENU:
            messages = data["resolved"]["messages"]
            about = {number: self.message(one) for number, one in messages.items()}
            changed["resolved"] = {**data["resolved"], "messages": about}
        return {**interaction, "data": data | changed}

    def _fields(self, data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self._texts(data[name]) for name in names if data.get(name)}

    def _texts(self, value: Any) -> Any:
        """Return *value* with all texts in it redacted; no id has the shape of a key."""
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, list):
            return [*map(self._texts, value)]
        if isinstance(value, dict):
            return {name: self._texts(one) for name, one in value.items()}
        return value
