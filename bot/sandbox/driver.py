"""A client of the control interface, to play the people and watch the bot from another process."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import aiohttp

from bot.sandbox.process import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from bot.sandbox.discord.world import Json

PATIENCE_SECONDS = 30.0
Predicate = Callable[[dict[str, Any]], bool]


class ControlError(Exception):
    """The stand-in refused a request; `status` is 409 if a person could not do it."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(body.get("error", body))
        self.status = status
        self.body = body


class Driver:
    """Plays the people of a running stand-in. Ids are strings; names may stand for ids.

    `async with Driver(addresses) as driver:` with the *addresses* that the stand-in printed.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        self.api_url: str = addresses["api_url"]
        self.gateway_url: str = addresses["gateway_url"]
        self.control_url: str = addresses["control_url"]
        self.cdn_url: str = addresses["cdn_url"]
        self.token: str = addresses["token"]
        self._session: aiohttp.ClientSession | None = None
        self.world: Json = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        self.world = await self.look()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def bot_id(self) -> str:
        """Return the id of the bot under test."""
        return str(self.world["bot"]["id"])

    @property
    def bot_mention(self) -> str:
        """Return the text that a client inserts when a person picks the bot's name."""
        return f"<@{self.bot_id}>"

    def user_id(self, name: str) -> str:
        """Return the id of one of the people of the start."""
        return str(self.world["users"][name])

    async def call(self, method: str, path: str, body: Json | None = None, **query: object) -> Any:
        """Ask the control interface; raise ControlError if it refuses."""
        if self._session is None:
            raise RuntimeError("The driver is not open.")
        params = {key: str(value) for key, value in query.items() if value is not None}
        async with self._session.request(
            method, self.control_url + path, json=body, params=params
        ) as response:
            answer = await response.json()
            if response.status >= 400:
                raise ControlError(response.status, answer)
            return answer

    async def look(self) -> Json:
        """Return an overview: bot, users, guilds with channels, last_event."""
        return dict(await self.call("GET", "/world"))

    async def say(
        self, channel: str, author: str, text: str, *, reply_to: str | None = None, **more: object
    ) -> Json:
        """Post a message.

        *more*: attachments, embeds, components, stickers (names), poll (question, answers),
        as_typed, ping_reply, flags, webhook_id, force, ago_seconds (the age of the message: the
        channel may have no newer one).
        """
        body = {"channel_id": channel, "author_id": author, "content": text, "reply_to": reply_to}
        return dict(await self.call("POST", "/messages", body | more))

    async def forward(self, channel: str, author: str, source: Json) -> Json:
        """Forward the message *source*; a comment on it is a separate message."""
        forward = {"channel_id": source["channel_id"], "message_id": source["id"]}
        return await self.say(channel, author, "", forward=forward)

    async def know_previews(self, previews: dict[str, Json]) -> None:
        """Give Discord the previews of addresses, so that it sends them with the message."""
        await self.call("PUT", "/previews", previews)

    async def say_all(self, messages: Iterable[Json]) -> None:
        """Post messages, each given by channel_id, author_id, content and so on."""
        await self.call("POST", "/messages/bulk", {"messages": list(messages)})

    async def ask(self, channel: str, author: str, text: str) -> Json:
        """Post a message that mentions the bot."""
        return await self.say(channel, author, f"{self.bot_mention} {text}")

    async def dm(self, user: str) -> str:
        """Open the DM between *user* and the bot and return its channel id."""
        channel = await self.call("POST", "/dms", {"user_id": user})
        return str(channel["id"])

    async def private_channel(self, *users: str) -> str:
        """Open a DM of two people, or a group DM of more, without the bot; return its id."""
        channel = await self.call("POST", "/private-channels", {"user_ids": users})
        return str(channel["id"])

    async def edit(self, channel: str, message: str, text: str, **more: object) -> Json:
        """Edit a message as its author; *more*: attachments, the ids of those to keep.

        With *more* `votes` for each answer, the poll of the message ends.
        """
        body = {"content": text} | more
        return dict(await self.call("PATCH", f"/messages/{channel}/{message}", body))

    async def delete(self, channel: str, message: str) -> None:
        """Delete a message as a person may."""
        await self.call("DELETE", f"/messages/{channel}/{message}")

    async def bulk_delete(self, channel: str, messages: Iterable[str]) -> None:
        """Delete messages with one event."""
        body = {"channel_id": channel, "message_ids": list(messages)}
        await self.call("POST", "/messages/bulk-delete", body)

    async def type_in(self, channel: str, user: str) -> None:
        """Let *user* be seen typing."""
        await self.call("POST", "/typing", {"channel_id": channel, "user_id": user})

    async def start_thread(
        self, channel: str, author: str, name: str, *, message: str | None = None, **more: object
    ) -> Json:
        """Start a thread of *message*, or alone; in a forum, a post: its `content` in *more*."""
        body: Json = {"channel_id": channel, "author_id": author, "name": name}
        if message is not None:
            body["message_id"] = message
        return dict(await self.call("POST", "/threads", body | more))

    async def edit_channel(self, channel: str, **changes: object) -> Json:
        """Change a thread (archived, locked, name) or a channel.

        Of a channel: name, topic, overwrites, parent_id (its category).
        """
        return dict(await self.call("PATCH", f"/channels/{channel}", changes))

    async def create_channel(self, name: str, *, kind: int = 0, guild: str = "Sandbox") -> Json:
        """Make a channel."""
        body = {"name": name, "type": kind, "guild_id": guild}
        return dict(await self.call("POST", "/channels", body))

    async def delete_channel(self, channel: str) -> None:
        """Delete a channel or thread."""
        await self.call("DELETE", f"/channels/{channel}")

    async def create_guild(self, name: str, **more: object) -> Json:
        """Make a guild.

        *more*: `with_bot=False` leaves the bot out, `channels`, `locale`, `shard` (a shard and the
        number of shards) gives it an id that belongs to that shard.
        """
        return dict(await self.call("POST", "/guilds", {"name": name} | more))

    async def edit_guild(self, guild: str, **changes: object) -> Json:
        """Change `bot_permissions`, `everyone_permissions` or `available`."""
        return dict(await self.call("PATCH", f"/guilds/{guild}", changes))

    async def create_user(self, name: str, **more: object) -> Json:
        """Make a person, or with `bot=True` a bot."""
        return dict(await self.call("POST", "/users", {"name": name} | more))

    async def edit_user(self, user: str, **changes: object) -> Json:
        """Change `locale`, `accepts_dms`, or `installed_bot`: have the bot everywhere."""
        return dict(await self.call("PATCH", f"/users/{user}", changes))

    async def invite(self, user: str, guild: str = "Sandbox") -> None:
        """Let a user, or the bot, join a guild."""
        await self.call("PUT", f"/members/{guild}/{user}")

    async def kick(self, user: str, guild: str = "Sandbox") -> None:
        """Remove a user, or the bot, from a guild."""
        await self.call("DELETE", f"/members/{guild}/{user}")

    async def time_out(self, user: str, seconds: float, guild: str = "Sandbox") -> None:
        """Put a user, or the bot, in time-out for *seconds*; 0 ends it."""
        await self.call("PATCH", f"/members/{guild}/{user}", {"time_out_seconds": seconds})

    async def permit(self, user: str, permissions: int | list[str], guild: str = "Sandbox") -> None:
        """Give a member a role with *permissions*, by number or by names, in place of others."""
        await self.call("PATCH", f"/members/{guild}/{user}", {"permissions": permissions})

    async def command(
        self,
        channel: str,
        user: str,
        name: str,
        options: Json | None = None,
        *,
        force: bool = False,
        target: str | None = None,
    ) -> str:
        """Use a command (`name subcommand`), or a message menu on *target*; return the id.

        Wait until the bot has registered commands: it does that a moment after it connects.
        """
        before = await self.last_event()
        if not await self.commands():
            await self.wait_for(lambda _: True, types=["commands_registered"], after=before)
        body = {
            "channel_id": channel,
            "user_id": user,
            "name": name,
            "options": options or {},
            "force": force,
            "target_id": target,
        }
        answer = await self.call("POST", "/commands", body)
        return str(answer["interaction_id"])

    async def autocomplete(
        self, channel: str, user: str, name: str, focused: str, value: str
    ) -> str:
        """Type *value* into the option *focused* of a command; return the interaction's id."""
        body = {
            "channel_id": channel,
            "user_id": user,
            "name": name,
            "focused": focused,
            "value": value,
        }
        answer = await self.call("POST", "/autocomplete", body)
        return str(answer["interaction_id"])

    async def submit_modal(
        self,
        interaction: str,
        fields: dict[str, str],
        *,
        custom_id: str | None = None,
        force: bool = False,
    ) -> str:
        """Fill in the modal that answered *interaction*; return the new interaction's id.

        *custom_id*: the modal's id in another version of the bot.
        """
        body = {
            "interaction_id": interaction,
            "fields": fields,
            "custom_id": custom_id,
            "force": force,
        }
        answer = await self.call("POST", "/modals", body)
        return str(answer["interaction_id"])

    async def press(
        self,
        channel: str,
        user: str,
        message: str,
        custom_id: str,
        *,
        values: list[str] | None = None,
        force: bool = False,
    ) -> str:
        """Press a button, or choose *values* of a menu; return the interaction's id."""
        body = {
            "channel_id": channel,
            "user_id": user,
            "message_id": message,
            "custom_id": custom_id,
            "values": values,
            "force": force,
        }
        answer = await self.call("POST", "/components", body)
        return str(answer["interaction_id"])

    async def commands(self, channel: str | None = None, user: str | None = None) -> list[Json]:
        """Return the registered commands, or those that *user* is offered in *channel*.

        `name_localized` and `description_localized` have the texts in their language.
        """
        return list(await self.call("GET", "/commands", channel_id=channel, user_id=user))

    async def interaction(self, interaction: str) -> Json:
        """Return an interaction: state, response, latency_seconds, followups."""
        return dict(await self.call("GET", f"/interactions/{interaction}"))

    async def wait_for_answer(
        self, interaction: str, *, timeout_seconds: float = PATIENCE_SECONDS
    ) -> Json:
        """Return the interaction once it is answered, a modal, or failed."""
        done = {"answered", "modal", "failed"}

        event = await self.wait_for(
            lambda event: event["data"]["interaction"]["state"] in done,
            types=["interaction_response"],
            about=interaction,
            timeout_seconds=timeout_seconds,
        )
        return dict(event["data"]["interaction"])

    async def channels(self) -> list[Json]:
        """Return all channels, threads and DMs."""
        return list(await self.call("GET", "/channels"))

    async def threads(self, channel: str) -> list[Json]:
        """Return the threads of a channel, oldest first."""
        wanted = {str(item["id"]) for item in await self.channels() if item.get("name") == channel}
        wanted.add(channel)
        return [
            item
            for item in await self.channels()
            if item.get("parent_id") in wanted and "thread_metadata" in item
        ]

    async def messages(self, channel: str) -> list[Json]:
        """Return the messages of a channel as people see them, oldest first, with `pings`."""
        return list(await self.call("GET", "/messages", channel_id=channel))

    async def message(self, channel: str, message: str) -> Json:
        """Return one message as people see it."""
        return dict(await self.call("GET", f"/messages/{channel}/{message}"))

    async def requests(
        self, *, after: int = 0, method: str | None = None, route: str | None = None
    ) -> list[Json]:
        """Return the bot's REST requests, each with body, status, at, remaining, faults."""
        found = await self.call("GET", "/requests", after=after)
        return [
            item
            for item in found
            if (method is None or item["method"] == method)
            and (route is None or item["route"] == route)
        ]

    async def unmodelled(self) -> list[str]:
        """Return what the bot used and the stand-in lacks, which it refused with 501."""
        return [
            f"{request['method']} {request['path']}: {field}"
            for request in await self.requests()
            for field in request["unmodelled"]
        ]

    async def gateway_state(self) -> Json:
        """Return connected, sessions, intents, identifies, resumes, heartbeats."""
        return dict(await self.call("GET", "/gateway"))

    async def gateway(self, action: str, **more: object) -> None:
        """Break the gateway by *action*, with its parameters in *more*.

        close (code, forget_session), abort, reconnect, invalid_session (resumable), silence
        (seconds, new_connections), deaf (seconds: no ACKs), raw (text or hex, plain), dispatch (t,
        d or op, d), refuse (seconds, status), refuse_resume (code, count), hold_sessions (seconds:
        READY and RESUMED come later), hello (interval, count), ready (changes, drop, count),
        duplicate, swallow (count, event: a pattern), reorder (count, seconds).
        `shard` limits close, abort, reconnect, invalid_session and silence to that shard.
        """
        await self.call("POST", "/gateway", {"action": action} | more)

    async def fault(
        self,
        action: str,
        *,
        method: str | None = None,
        path: str | None = None,
        count: int | None = 1,
        **more: object,
    ) -> Json:
        """Break *count* requests (None: all) whose method and path match the patterns.

        *action*, with its parameters in *more*: answer (status, body, headers, after: done all the
        same), delay (seconds, after: done at once but answered late), drop (not done), drop_after
        (done, never answered), block (403 with the code of a deleted message, as Discord's abuse
        protection answers; code: another one), rate_limit (retry_after, global, scope, via); for
        all of them skip, probability, seed.
        """
        spec = {"action": action, "method": method, "path": path, "count": count}
        return dict(await self.call("POST", "/faults", spec | more))

    async def faults(self) -> list[Json]:
        """Return the faults with how often each hit."""
        return list(await self.call("GET", "/faults"))

    async def clear_faults(self) -> None:
        """Remove all faults."""
        await self.call("DELETE", "/faults")

    async def refuse(
        self,
        kind: str,
        *,
        keyword: str | None = None,
        pattern: str | None = None,
        guild: str | None = None,
        **more: object,
    ) -> Json:
        """Let Discord refuse the bot's messages, in *guild* or everywhere.

        *kind*, for texts that a *keyword* (Discord's own rules: `word`, `word*`, `*word*`) or a
        *pattern* finds, or for all: automod, harmful_link, explicit, form, text (any other *code*);
        for requests with a file: uploads_limited, file_over_limit, file_invalid,
        request_over_limit, file (any other *code*). *more*: status, code, message, errors, count
        (so many requests, else all).
        """
        found = {"keyword": keyword, "pattern": pattern, "guild_id": guild}
        spec = {"kind": kind} | found | more
        return dict(await self.call("POST", "/refusals", spec))

    async def refusals(self) -> list[Json]:
        """Return the rules by which messages are refused, with the number of refusals of each."""
        return list(await self.call("GET", "/refusals"))

    async def clear_refusals(self) -> None:
        """Remove all rules by which messages are refused."""
        await self.call("DELETE", "/refusals")

    async def forget_limits(self) -> None:
        """Forget how much of each rate limit is used up, as for another bot."""
        await self.call("DELETE", "/limits")

    async def settings(self, **changes: object) -> Json:
        """Change settings and return all of them."""
        return dict(await self.call("PUT", "/settings", changes))

    async def last_event(self) -> int:
        """Return the number of the newest event, to wait for later ones."""
        return int((await self.look())["last_event"])

    async def events(
        self,
        *,
        after: int = 0,
        types: Iterable[str] = (),
        about: str | None = None,
        timeout_seconds: float = 0.0,
    ) -> list[Json]:
        """Return the events after *after*, waiting for the first up to *timeout_seconds*.

        *about*: the id of a channel or of an interaction, for its messages or its answers alone.
        """
        answer = await self.call(
            "GET",
            "/events",
            after=after,
            types=",".join(types),
            about=about,
            timeout=timeout_seconds,
        )
        return list(answer["events"])

    async def wait_for(
        self,
        predicate: Predicate,
        *,
        types: Iterable[str] = (),
        after: int = 0,
        about: str | None = None,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> Json:
        """Return the first event after *after* that satisfies *predicate*; it may be past."""
        deadline = time.monotonic() + timeout_seconds
        wanted = list(types)
        while (left := deadline - time.monotonic()) > 0:
            for event in await self.events(
                after=after, types=wanted, about=about, timeout_seconds=left
            ):
                after = event["seq"]
                if predicate(event):
                    return event
        raise TimeoutError(f"Nothing of the kind {wanted or 'any'} in {timeout_seconds} s.")

    async def wait_for_message(
        self,
        predicate: Predicate,
        *,
        channel: str | None = None,
        after: int = 0,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> Json:
        """Return the first message, as created or edited, that satisfies *predicate*."""
        event = await self.wait_for(
            lambda item: predicate(item["data"]["message"]),
            types=["message_create", "message_update"],
            after=after,
            about=channel,
            timeout_seconds=timeout_seconds,
        )
        return dict(event["data"]["message"])

    async def wait_for_bot(
        self,
        text: str = "",
        *,
        channel: str | None = None,
        after: int = 0,
        timeout_seconds: float = PATIENCE_SECONDS,
    ) -> Json:
        """Return the first message of the bot that contains *text*, in *channel* (an id)."""

        def matches(message: Json) -> bool:
            return (
                message["author"]["id"] == self.bot_id
                and message["type"] in {0, 19, 20, 23}
                and text in message["content"]
            )

        return await self.wait_for_message(
            matches, channel=channel, after=after, timeout_seconds=timeout_seconds
        )

    async def wait_until_connected(self, *, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the bot has a session on the gateway."""
        deadline = time.monotonic() + timeout_seconds
        after = 0
        while not (await self.gateway_state())["connected"]:
            event = await self.wait_for(
                lambda _: True,
                types=["gateway_ready", "gateway_resume"],
                after=after,
                timeout_seconds=deadline - time.monotonic(),
            )
            after = event["seq"]

    async def wait_for_commands(self, *, timeout_seconds: float = PATIENCE_SECONDS) -> list[Json]:
        """Return the registered commands as soon as there are any, or none after the timeout."""

        def registers(event: Json) -> bool:
            request = event["data"]
            return bool(request["method"] == "PUT" and request["path"].endswith("/commands"))

        if not await self.commands():
            with suppress(TimeoutError):
                await self.wait_for(registers, types=["request"], timeout_seconds=timeout_seconds)
        return await self.commands()


@asynccontextmanager
async def running_discord(*, port: int = 0, **settings: object) -> AsyncIterator[Driver]:
    """Start a stand-in as a process of its own with *settings*; yield a driver; end the process."""
    arguments = ("--port", str(port), "--settings", json.dumps(settings))
    async with (
        running("bot.sandbox.discord.server", *arguments) as addresses,
        Driver(addresses) as driver,
    ):
        yield driver
