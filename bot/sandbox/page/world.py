"""The page's copy of the stand-in's world, updated by its journal: places, people, messages."""

import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any, Final

from bot.sandbox.launch import LOCALES
from bot.sandbox.page.markup import Names, render

Json = dict[str, Any]

PEOPLE: Final = {"Mina": "admin", "Jun": "member", "Sora": "member"}
_KINDS: Final = {0: "text", 1: "dm", 2: "voice", 5: "text", 15: "forum"}
_THREADS: Final = frozenset({10, 11, 12})
_SPOKEN: Final = frozenset({0, 19, 20, 23})
_THREAD_STARTER: Final = 21
_NOTICES: Final = {
    6: "{name} pinned a message.",
    7: "{name} is here now.",
    18: "{name} started a thread: {text}",
}
_LOADING: Final = 1 << 7
_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_TYPED_NAME: Final = re.compile(r"@(\w+)")
_EXCERPT: Final = 80  # characters of a quoted message


class World:
    """The mirror of one stand-in. `apply` returns the changes for the browser."""

    def __init__(
        self, overview: Json, channels: Iterable[Json], shard_of: Callable[[int], int] = lambda _: 0
    ) -> None:
        self.guilds: list[Json] = [
            {"id": str(one["id"]), "name": str(one["name"]), "shard": shard_of(int(one["id"]))}
            for one in overview["guilds"]
        ]
        self.bot_id = str(overview["bot"]["id"])
        self._users = {str(number): str(name) for name, number in overview["users"].items()}
        self._roles = {
            str(number): str(name)
            for guild in overview["guilds"]
            for name, number in guild["roles"].items()
        }
        self._channels = {str(one["id"]): self._channel(one) for one in channels}
        self._messages: dict[str, dict[str, Json]] = {}
        self._appliers: dict[str, Callable[[Json], list[Json]]] = {
            "message_create": self._put_message,
            "message_update": self._put_message,
            "message_delete": self._drop_message,
            "message_delete_bulk": self._drop_messages,
            "channel_create": self._put_channel,
            "channel_update": self._put_channel,
            "channel_delete": self._drop_channel,
            "thread_create": self._put_channel,
            "thread_update": self._put_channel,
            "thread_delete": self._drop_channel,
            "typing": self._typing,
            "interaction_response": self._interaction,
            "commands_registered": lambda _data: [{"kind": "registered"}],
        }

    def apply(self, kind: str, data: Json) -> list[Json]:
        """Apply one entry of the journal."""
        apply = self._appliers.get(kind)
        return apply(data) if apply else []

    def snapshot(self) -> Json:
        """Return the whole state."""
        return {
            "guilds": self.guilds,
            "bot": {"id": self.bot_id, "name": self._users[self.bot_id]},
            "people": [
                {
                    "id": number,
                    "name": name,
                    "role": PEOPLE[name],
                    "locale": LOCALES.get(name, "en-US"),
                }
                for number, name in self._users.items()
                if name in PEOPLE
            ],
            "users": self._users,
            "channels": list(self._channels.values()),
            "messages": [one for place in self._messages.values() for one in place.values()],
        }

    def message(self, channel_id: str, message_id: str) -> Json | None:
        """Return one message as the page shows it."""
        return self._messages.get(channel_id, {}).get(message_id)

    def place_name(self, channel_id: str) -> str:
        """Return a place's name for people."""
        channel = self._channels.get(channel_id)
        if channel is None:
            return "a deleted channel"
        if channel["kind"] == "dm":
            return f"@{self.user_name(channel['person_id'])}"
        if channel["kind"] == "thread":
            return str(channel["name"])
        elsewhere = [one["name"] for one in self.guilds[1:] if one["id"] == channel["guild_id"]]
        return " of ".join((f"#{channel['name']}", *elsewhere))

    def user_name(self, user_id: str) -> str:
        """Return a user's name."""
        return self._users.get(user_id, "somebody")

    def as_sent(self, text: str) -> str:
        """Return *text* with each `@Name` as the mention that Discord's client makes of it."""
        ids = {name: number for number, name in self._users.items()}

        def mention(found: re.Match[str]) -> str:
            return f"<@{ids[found[1]]}>" if found[1] in ids else found[0]

        return _TYPED_NAME.sub(mention, text)

    def is_admin(self, user_id: str) -> bool:
        """Return whether the person is an administrator."""
        return PEOPLE.get(self.user_name(user_id)) == "admin"

    def _names(self) -> Names:
        channels = {number: one["name"] for number, one in self._channels.items()}
        return Names(self._users, self._roles, channels)

    def _put_message(self, data: Json) -> list[Json]:
        message = data["message"]
        if message["type"] not in {*_SPOKEN, *_NOTICES, _THREAD_STARTER}:
            return []
        shown = self._shown(message)
        self._messages.setdefault(shown["channel_id"], {})[shown["id"]] = shown
        return [{"kind": "message", "message": shown}]

    def _shown(self, message: Json) -> Json:
        asked = message.get("interaction_metadata")
        source = message.get("referenced_message")
        spoken = message
        if message["type"] == _THREAD_STARTER and source:
            spoken = source
        notice = _NOTICES.get(message["type"])
        name = self._author_name(message)
        return {
            "id": message["id"],
            "channel_id": message["channel_id"],
            "author_id": spoken["author"]["id"],
            "author_name": self._author_name(spoken),
            "by_bot": bool(spoken["author"].get("bot")),
            "at": spoken["timestamp"],
            "edited": bool(spoken["edited_timestamp"]),
            "text": spoken["content"],
            "html": "" if notice else render(spoken["content"], self._names()),
            "notice": notice.format(name=name, text=spoken["content"]) if notice else None,
            "starts_thread": message["type"] == _THREAD_STARTER,
            "thinking": bool(message["flags"] & _LOADING),
            "only_for": asked["user"]["id"] if message["ephemeral"] and asked else None,
            "used": self._used(message, asked),
            "replies_to": self._excerpt(message, source),
            "pings": message["pings"],
            "attachments": [_attachment(one, message["channel_id"]) for one in _files(spoken)],
            "components": message["components"],
            "webhook": bool(message.get("webhook_id")) and not message.get("application_id"),
        }

    def _author_name(self, message: Json) -> str:
        author = message["author"]
        return self._users.get(author["id"]) or str(author["username"])

    def _used(self, message: Json, asked: Json | None) -> str | None:
        if asked is None or message["type"] not in {20, 23}:
            return None
        sign = "/" if message["type"] == 20 else ""
        return f"{self.user_name(asked['user']['id'])} used {sign}{asked['name']}"

    def _excerpt(self, message: Json, source: Json | None) -> Json | None:
        if message["type"] != 19 or message.get("message_reference") is None:
            return None
        if source is None:
            return {"id": None, "author": "", "text": "Original message was deleted."}
        text = " ".join(source["content"].split())
        for number, name in self._users.items():
            text = text.replace(f"<@{number}>", f"@{name}")
        return {"id": source["id"], "author": self._author_name(source), "text": text[:_EXCERPT]}

    def _drop_message(self, data: Json) -> list[Json]:
        return self._drop(data["channel_id"], [data["id"]])

    def _drop_messages(self, data: Json) -> list[Json]:
        return self._drop(data["channel_id"], data["ids"])

    def _drop(self, channel_id: str, ids: list[str]) -> list[Json]:
        place = self._messages.get(channel_id, {})
        for number in ids:
            place.pop(number, None)
        return [{"kind": "messages_gone", "channel_id": channel_id, "ids": ids}]

    def _channel(self, channel: Json) -> Json:
        kind = "thread" if channel["type"] in _THREADS else _KINDS.get(channel["type"], "text")
        person = (channel.get("recipients") or [{"id": None}])[0]["id"]
        state = channel.get("thread_metadata") or {}
        return {
            "id": channel["id"],
            "kind": kind,
            "name": channel.get("name") or self._users.get(self.bot_id, "DM"),
            "guild_id": channel.get("guild_id"),
            "parent_id": channel.get("parent_id"),
            "person_id": person,
            "topic": channel.get("topic"),
            "archived": bool(state.get("archived")),
            "locked": bool(state.get("locked")),
        }

    def _put_channel(self, data: Json) -> list[Json]:
        shown = self._channel(data.get("thread") or data["channel"])
        self._channels[shown["id"]] = shown
        return [{"kind": "channel", "channel": shown}]

    def _drop_channel(self, data: Json) -> list[Json]:
        number = str((data.get("thread") or data["channel"])["id"])
        gone = {number} | {
            one["id"] for one in self._channels.values() if one["parent_id"] == number
        }
        for one in gone:
            self._channels.pop(one, None)
            self._messages.pop(one, None)
        return [{"kind": "channels_gone", "ids": sorted(gone)}]

    def _typing(self, data: Json) -> list[Json]:
        name = self.user_name(data["user_id"])
        return [{"kind": "typing", "name": name, **data}]

    def _interaction(self, data: Json) -> list[Json]:
        found = data["interaction"]
        response = found["response"] or {}
        return [
            {
                "kind": "interaction",
                "id": found["id"],
                "user_id": found["user_id"],
                "channel_id": found["channel_id"],
                "name": found["name"],
                "state": found["state"],
                "modal": response.get("modal"),
                "choices": response.get("choices"),
            }
        ]


def _files(message: Json) -> list[Json]:
    return list(message.get("attachments") or [])


def _name(attachment: Json) -> str:
    """Return the name of a file as its author gave it, as Discord's client shows it."""
    filename, title = str(attachment["filename"]), attachment.get("title")
    return f"{title}{PurePosixPath(filename).suffix}" if title else filename


def _attachment(attachment: Json, channel_id: str) -> Json:
    kind = str(attachment.get("content_type") or "").partition(";")[0]
    return {
        "id": attachment["id"],
        "name": _name(attachment),
        "size": attachment["size"],
        "path": f"files/{channel_id}/{attachment['id']}",
        "image": kind in _IMAGES,
        "description": attachment.get("description"),
    }
