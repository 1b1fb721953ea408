"""Fault 14: interactions that Discord would never send, made from real ones by a seed.

The stand-in sends real interactions only to a second session, so that the bot gets each of them
once, in its changed form. Each is for a channel of its own, so that the database shows afterwards
which of them took effect.
"""

from __future__ import annotations

import asyncio
import copy
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bot.commands.privacy import FORGET
from bot.conversation.reply_actions import ReplyAction
from bot.i18n.sentences import ENGLISH
from tests.e2e.conftest import GLANCE_SECONDS, NAMES, PATIENCE_SECONDS, Stage, field_of
from tests.faults.gateway_fuzz import mutant
from tests.standin.wire import Socket

Json = dict[str, Any]
Key = tuple[str, int]  # the scope of a prompt or reset: "channel" or "guild", and its id

COMMAND: Final = 2
COMPONENT: Final = 3
AUTOCOMPLETE: Final = 4
FORM: Final = 5
MAY_MANAGE: Final = 0x8 | 0x20  # Discord: Administrator, Manage Server
AT_ONCE: Final = 16
VALID_EVERY: Final = 10
FORM_EVERY: Final = 10
REAL_TOKEN_EVERY: Final = 5
SETTLED_SECONDS: Final = 1.0
BEAT_SECONDS: Final = 20.0
FIRST_CHANNEL: Final = 1 << 58  # No channel of the stand-in has such an id.
SETTLING_SECONDS: Final = 3.0
MODEL: Final = "stand-in"
CHOICES: Final = 8  # Discord: the response to an autocomplete
KEPT: Final = "This prompt was here before."
ASKED: Final = "A question for one person alone."
# No rate limits, as only payloads are tested here.
NO_LIMIT: Final = 100_000
NO_PERMISSION: Final[tuple[Any, ...]] = ("0", "", None, "-1", "64", "2147483648", 0, [], "none")
NO_COMMAND: Final[tuple[Any, ...]] = (
    "gone",
    "RESET",
    "reset ",
    "",
    "system x",
    "x" * 5000,
    None,
    5,
)
HUGE: Final = ("x" * 4001, "y" * 100_000, "\0" * 50, "ﷺ" * 4000, "\n" * 4000)
NO_TOKEN: Final = ("long-gone", "", "x" * 3000, "../../../channels/1", "?wait=true#", "\x00")


@dataclass
class Played:
    """The interactions that were sent, and the failures found."""

    sent: list[Json] = field(default_factory=list)
    valid: list[str] = field(default_factory=list)
    kept: dict[Key, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


async def capture(stage: Stage, socket: Socket, act: Callable[[], Awaitable[Any]]) -> Json:
    """Let *act* make an interaction; return the event that the bot would have got.

    *socket* is the newest session of the stage; the stand-in sends the event to no other.
    """
    others = len((await stage.discord.gateway_state())["sessions"]) - 1
    await stage.discord.gateway("swallow", count=others, event="INTERACTION_CREATE")
    made = await act()
    while True:
        frame = await socket.event("INTERACTION_CREATE")
        if frame["d"].get("id") == made:
            socket.frames.clear()
            return dict(frame["d"])


async def response_to(stage: Stage, interaction: str) -> Json:
    """Return the response to an interaction; unlike the stage, ignore other events."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            seen = await stage.discord.interaction(interaction)
            if seen["state"] in {"answered", "modal"}:
                return {"interaction": interaction} | dict(seen["response"])
            if seen["state"] == "failed":
                raise TimeoutError(f"nobody answered {interaction}")
            await asyncio.sleep(GLANCE_SECONDS)


def permitted(payload: Json, kinds: tuple[int, ...] = (COMMAND, FORM)) -> set[Key]:
    """Return the rows that *payload* may change by Discord's rules.

    Only interactions of these *kinds* may change anything; an autocomplete may not.
    """
    place, guild = payload.get("channel"), number(payload.get("guild_id"))
    channel = number(place.get("id")) if isinstance(place, dict) else None
    if channel is None or payload.get("type") not in kinds:
        return set()
    member = payload.get("member")
    if payload.get("guild_id") is None:
        is_direct = isinstance(payload.get("user"), dict) and member is None
        return {("channel", channel)} if is_direct else set()
    bits = number(member.get("permissions")) if isinstance(member, dict) else None
    if guild is None or bits is None or not bits & MAY_MANAGE:
        return set()
    return {("channel", channel), ("guild", guild)}


def number(value: Any) -> int | None:
    """Return *value* as an id or bits, None if it is neither."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(value: Any) -> Iterator[str]:
    """Yield each text within *value* as it would be stored."""
    if isinstance(value, str):
        yield value.encode("utf-8", "replace").decode().replace("\0", "").strip()
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def mangled(payload: Json, dice: random.Random) -> Json:
    """Return *payload* with something wrong with it."""
    changed = copy.deepcopy(payload)
    data = changed["data"]
    kind = dice.choice(
        ["field", "field", "field", "fields", "name", "person", "place", "huge", "token", "kind"]
    )
    if kind == "field":
        return mutant(changed, dice)
    if kind == "fields":
        return mutant(mutant(changed, dice), dice)
    if kind == "name":
        data["name"] = dice.choice(NO_COMMAND)
        data["id"] = str(dice.randrange(1 << 60))
    elif kind == "person":
        _change_person(changed, dice)
    elif kind == "place":
        changed["guild_id"] = dice.choice([None, "1", str(dice.randrange(1 << 60)), "0"])
        if dice.random() < 0.5:
            del changed["guild_id"]
    elif kind == "huge":
        data["options"] = [{"type": 3, "name": "prompt", "value": dice.choice(HUGE)}]
        data["custom_id"] = dice.choice(HUGE)
    elif kind == "token":
        changed["token"] = dice.choice(NO_TOKEN)
        changed["id"] = str(dice.randrange(1 << 60))
    else:
        _change_kind(changed, dice)
    return changed


def _change_person(payload: Json, dice: random.Random) -> None:
    member = payload.get("member")
    if member is None or dice.random() < 0.2:
        payload.pop("user", None)
        payload.pop("member", None)
    elif dice.random() < 0.2:
        payload["user"] = payload.pop("member")["user"]
    else:
        member["permissions"] = dice.choice(NO_PERMISSION)


def _change_kind(payload: Json, dice: random.Random) -> None:
    data = payload["data"]
    payload["type"] = dice.choice([1, COMPONENT, AUTOCOMPLETE, FORM, 6, 99])
    data |= {"component_type": dice.choice([2, 2, 3, 8, 99]), "components": []}
    data["custom_id"] = dice.choice(["unknown", FORGET, *ReplyAction])
    data["type"] = dice.choice([1, 2, 3, 99])
    if payload["type"] == AUTOCOMPLETE:
        data["type"] = 1
        data["options"] = [{"type": 3, "name": "prompt", "value": "a", "focused": True}]
    if payload["type"] == COMPONENT and dice.random() < 0.5:
        payload["message"] = {"id": "1", "channel_id": "1"}


class Fuzz:
    """One run: mangled interactions, with valid ones in between."""

    def __init__(self, stage: Stage, socket: Socket, seed: int) -> None:
        self._stage = stage
        self._socket = socket
        self._seed = seed
        self._overhearing = asyncio.Lock()
        self._templates: list[Json] = []
        self._form: Callable[[], Awaitable[str]]
        self.played = Played()

    async def prepare(self) -> None:
        """Record one interaction of each kind: by an admin, by another person, in a DM."""
        people, guild = self._stage.discord, f"Mangled {next(NAMES)}"
        outsider, admin = await self._stage.person(), "Mina"
        await people.create_guild(guild)
        await people.invite(outsider, guild)
        elsewhere = str((await people.create_channel(next(NAMES), guild=guild))["id"])
        self._dm, self._person = await people.dm(outsider), outsider
        self._channel = await self._stage.channel()
        self._form = partial(people.command, self._channel, admin, "system")
        for place, user in (
            (elsewhere, outsider),
            (self._channel, admin),
            (self._dm, outsider),
        ):
            options = {"prompt": "a prompt"}
            scoped = options | {"scope": "server"}
            for name, given in (
                ("reset", {}),
                ("system", options),
                ("system", scoped),
                ("system", {}),
                ("model", {"model": MODEL}),
                ("model", {"model": MODEL, "scope": "server"}),
                ("model", {}),
                ("usage", {"by": "person"}),
            ):
                act = partial(people.command, place, user, name, given, force=True)
                self._templates.append(await self._overhear(act))
            said = await people.say(place, user, "Words to ask about.")
            for act in (
                partial(people.command, place, user, "ask", {"question": ASKED}),
                partial(people.command, place, user, ENGLISH.ask_about_menu, target=said["id"]),
            ):
                self._templates.append(await self._overhear(act))
            act = partial(people.autocomplete, place, user, "model", "model", "st")
            self._templates.append(await self._overhear(act))

    async def play(self, tries: int) -> None:
        """Send *tries* mangled interactions, several in parallel."""
        left = iter(range(tries))

        async def play_some() -> None:
            for one in left:
                dice = random.Random(f"{self._seed} {one}")
                await self._send(one, dice)
                if one % VALID_EVERY == 0:
                    await self._use_validly(one)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(play_some())
        await self._use_validly(tries)
        await asyncio.sleep(SETTLED_SECONDS)

    async def _overhear(self, act: Callable[[], Awaitable[Any]]) -> Json:
        async with self._overhearing:
            return await capture(self._stage, self._socket, act)

    async def _send(self, one: int, dice: random.Random) -> None:
        channel = FIRST_CHANNEL + one
        if one % FORM_EVERY == FORM_EVERY - 1:
            payload = await self._filled_in(channel, one)
        else:
            payload = copy.deepcopy(dice.choice(self._templates))
            if one % REAL_TOKEN_EVERY == 0:
                real = await self._overhear(self._form)
                payload |= {"id": real["id"], "token": real["token"]}
            else:
                payload["id"] = str(int(payload["id"]) - (one << 10) - 1)
            for option in payload["data"].get("options", []):
                if option["name"] == "prompt":
                    option["value"] = f"prompt number {one} of {self._seed}"
        changed = mangled(moved(payload, channel), dice)
        self.played.sent.append(changed)
        await self._dispatch(changed)

    async def _filled_in(self, channel: int, one: int) -> Json:
        """Return the modal of a channel that has a prompt, filled in by an admin."""
        prompt = next(
            payload
            for payload in self._templates
            if any(key == "guild" for key, _ in permitted(payload))
            and [option["name"] for option in payload["data"].get("options", [])] == ["prompt"]
        )
        prompt = moved(copy.deepcopy(prompt), channel)
        prompt["id"] = str(int(prompt["id"]) - (one << 10) - 1)
        prompt["data"]["options"][0]["value"] = KEPT
        self.played.kept["channel", channel] = KEPT
        await self._dispatch(prompt)
        command = await self._overhear(self._form)
        await self._dispatch(moved(command, channel))
        modal = await response_to(self._stage, command["id"])
        fields = {field_of(modal)["custom_id"]: f"form number {one} of {self._seed}"}
        submit = partial(self._stage.discord.submit_modal, command["id"], fields, force=True)
        return await self._overhear(submit)

    async def _dispatch(self, payload: Json) -> None:
        await self._stage.discord.gateway("dispatch", t="INTERACTION_CREATE", d=payload)

    async def _use_validly(self, one: int) -> None:
        """Use a valid command, and check that it takes effect."""
        people = self._stage.discord
        place, user = ((self._channel, "Mina"), (self._dm, self._person))[one % 2]
        name, options = (("reset", {}), ("system", {"prompt": KEPT}))[one // VALID_EVERY % 2]
        async with self._overhearing:  # Otherwise the fault of another task would swallow it.
            interaction = await people.command(place, user, name, options)
            self._socket.frames.clear()
        self.played.valid.append(interaction)
        try:
            answer = await response_to(self._stage, interaction)
        except TimeoutError:
            self.played.failures.append(f"a valid /{name} is not answered after {one}")
            return
        good = {ENGLISH.reset_nothing, ENGLISH.system_set_channel, ENGLISH.system_set_dm}
        if answer["content"] not in good:
            self.played.failures.append(f"a valid /{name} is answered with {answer['content']!r}")
        elif name == "system":
            self.played.kept["channel", int(place)] = KEPT

    async def check(self) -> None:
        """Compare the database with the changes that the payloads were allowed to make."""
        allowed: dict[Key, list[Json]] = {}
        for payload in self.played.sent:
            for key in permitted(payload):
                allowed.setdefault(key, []).append(payload)
        prompts: dict[Key, str] = {
            (scope, scope_id): prompt
            for scope, scope_id, prompt in self._stage.rows("SELECT * FROM system_prompts")
        }
        for key in prompts.keys() | self.played.kept.keys():
            prompt = prompts.get(key, "")
            may = {text for payload in allowed.get(key, []) for text in texts(payload)}
            if prompt not in may | {self.played.kept.get(key)}:
                self.played.failures.append(f"the prompt of {key} was changed to {prompt!r}")
        for scope, scope_id, model in self._stage.rows("SELECT * FROM models"):
            payloads = allowed.get((scope, scope_id), [])
            if not any(model in texts(payload) for payload in payloads):
                self.played.failures.append(f"the model of {scope} {scope_id} was changed")
        valid = set(map(int, self.played.valid))
        for channel, before in self._stage.rows("SELECT * FROM resets"):
            may_reset = {number(payload["id"]) for payload in allowed.get(("channel", channel), [])}
            if before not in may_reset | valid:
                self.played.failures.append(f"{channel} was reset")

    async def check_forbidden_responses(self) -> None:
        """Check that forbidden interactions got only ephemeral responses, and no prompt."""
        for payload in self.played.sent:
            if permitted(payload) or number(payload.get("id")) is None:
                continue
            try:
                seen = await self._stage.discord.interaction(payload["id"])
            except Exception:  # noqa: BLE001  # No such interaction, so no response.
                continue
            response = seen["response"]
            if response and response["type"] == CHOICES:
                if response["choices"] and not permitted(payload, (AUTOCOMPLETE,)):
                    self.played.failures.append(f"offered {response['choices']} to {payload}")
                continue
            if response and not response["ephemeral"] and not _is_for_all(response["modal"]):
                self.played.failures.append(f"everyone saw the response: {response} to {payload}")


def _is_for_all(modal: Json | None) -> bool:
    """Return whether *modal* asks for a question, so that everyone may see it."""
    return modal is not None and modal["title"] == ENGLISH.ask_modal_title


def moved(payload: Json, channel: int) -> Json:
    """Return *payload* with another channel."""
    payload["channel_id"] = str(channel)
    payload["channel"]["id"] = str(channel)
    return payload


@asynccontextmanager
async def fast(stage: Stage, *buckets: str) -> AsyncIterator[None]:
    """Lift the global limit and those of *buckets* meanwhile."""
    usual = await stage.discord.settings()
    lifted = {name: {"limit": NO_LIMIT} for name in buckets}
    await stage.discord.settings(global_limit=NO_LIMIT, buckets=lifted)
    try:
        yield
    finally:
        kept = {name: usual["buckets"][name] for name in buckets}
        await stage.discord.settings(global_limit=usual["global_limit"], buckets=kept)


async def _beat(socket: Socket) -> None:
    """Send heartbeats on *socket*, for long runs."""
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        await socket.send(1, None)


async def play_fuzzed(stage: Stage, *, tries: int, seed: int) -> Json:
    """Send *tries* mangled interactions to the bot on *stage*, with valid commands in between.

    Return `tries`, `seed`, `seconds`, `lost` (forbidden changes, valid commands without effect,
    errors in the log), `doubled` (valid commands answered twice) and `failures`, which describes
    them.
    """
    # The bot then reconciles with Discord, which does not know the invented channels.
    await stage.logged("Connected as")
    await asyncio.sleep(SETTLING_SECONDS)
    began, log_before = time.monotonic(), len(stage.log)
    after = max((one["seq"] for one in await stage.discord.requests()), default=0)
    async with (
        fast(stage, "callback", "webhook"),
        Socket(stage.discord.gateway_url, stage.discord.token) as socket,
    ):
        await socket.identify()
        fuzz = Fuzz(stage, socket, seed)
        beating = asyncio.create_task(_beat(socket))
        await fuzz.prepare()
        await fuzz.play(tries)
        beating.cancel()
        await fuzz.check()
        await fuzz.check_forbidden_responses()
    failures = fuzz.played.failures
    failures += re.findall(r".* ERROR .*|Traceback.*", stage.log[log_before:])
    paths = [
        one["path"]
        for one in await stage.discord.requests(after=after, method="POST")
        if one["path"].endswith("/callback")
    ]
    doubled = sum(
        sum(f"/interactions/{one}/" in path for path in paths) > 1 for one in fuzz.played.valid
    )
    return {
        "tries": tries,
        "lost": len(failures),
        "doubled": doubled,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "failures": failures,
    }
