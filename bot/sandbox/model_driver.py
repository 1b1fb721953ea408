"""Control the stand-in model from another process: script its replies, read its requests."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from bot.sandbox.model.state import DEFAULT_KEY, Record
from bot.sandbox.model_script import Script
from bot.sandbox.process import running

_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ModelDriver:
    """A client of the control of one running stand-in."""

    base_url: str  # for the API client, with /v1
    control_url: str
    http: aiohttp.ClientSession
    api_key: str = DEFAULT_KEY

    async def reply(self, *replies: Script | str) -> None:
        """Queue the next replies, in this order; the model sends each once."""
        await self._call("POST", "replies", [_script(reply).to_json() for reply in replies])

    async def reply_when(
        self, contains: str, reply: Script | str, *, times: int | None = None
    ) -> None:
        """Send *reply* whenever the last user message contains *contains*, before any queue."""
        rule = {"contains": contains, "reply": _script(reply).to_json(), "times": times}
        await self._call("POST", "rules", [rule])

    async def judge_when(self, contains: str, *categories: str, **more: Any) -> None:
        """Flag inputs of moderations with *contains* in *categories*; *more* as in `Judgement`."""
        await self._call(
            "POST", "judgements", [{"contains": contains, "categories": categories} | more]
        )

    async def list_models(self, reply: Script) -> None:
        """Answer requests for the models with *reply*, which has a body or another status."""
        await self._call("PUT", "listing", reply.to_json())

    async def resume(self) -> None:
        """End the current stalls."""
        await self._call("POST", "resume")

    async def reset(self) -> None:
        """Drop the scripts and the record, and reset all settings."""
        for name in ("replies", "rules", "judgements", "listing", "requests", "settings"):
            await self._call("DELETE", name)

    async def forget_requests(self) -> None:
        """Drop only the record of requests."""
        await self._call("DELETE", "requests")

    async def change(self, **settings: Any) -> None:
        """Change settings: the fields of `ModelSettings`."""
        await self._call("PUT", "settings", settings)

    async def settings(self) -> dict[str, Any]:
        """Return the settings in force."""
        return await self._call("GET", "settings")

    async def requests(
        self, *, after: int = 0, timeout_seconds: float = 0.0, outcomes: Iterable[str] = ()
    ) -> list[Record]:
        """Return the requests after number *after*, waiting up to the timeout for the first.

        With *outcomes*, return only requests with one of them.
        """
        query = f"requests?after={after}&timeout={timeout_seconds}&outcome={','.join(outcomes)}"
        answer = await self._call("GET", query)
        return [Record(**one) for one in answer["requests"]]

    async def completions(self, *, after: int = 0) -> list[Record]:
        """Return the chat completions that were asked for after number *after*."""
        return [
            one for one in await self.requests(after=after) if one.path.endswith("/completions")
        ]

    async def moderations(self) -> list[Record]:
        """Return the moderations that were asked for."""
        return [one for one in await self.requests() if one.path.endswith("/moderations")]

    async def next_request(
        self,
        *,
        after: int = 0,
        outcomes: Iterable[str] = (),
        timeout_seconds: float = _WAIT_SECONDS,
    ) -> Record:
        """Return the first request after *after*; raises `TimeoutError` if none comes."""
        found = await self.requests(after=after, timeout_seconds=timeout_seconds, outcomes=outcomes)
        if not found:
            raise TimeoutError(f"no request to the stand-in model within {timeout_seconds} s")
        return found[0]

    async def _call(self, method: str, name: str, body: object = None) -> dict[str, Any]:
        async with self.http.request(method, f"{self.control_url}/{name}", json=body) as response:
            answer: dict[str, Any] = await response.json()
        if response.status != 200:
            raise ValueError(answer.get("error", f"the control answered {response.status}"))
        return answer


@asynccontextmanager
async def running_model(**settings: Any) -> AsyncIterator[ModelDriver]:
    """Run a stand-in model with these `ModelSettings` and end it on leaving."""
    key = settings.get("api_key", DEFAULT_KEY) or DEFAULT_KEY
    async with (
        running("bot.sandbox.model.server", "--settings", json.dumps(settings)) as ready,
        aiohttp.ClientSession() as http,
    ):
        yield ModelDriver(ready["base_url"], ready["control_url"], http, key)


def _script(reply: Script | str) -> Script:
    return Script(text=reply) if isinstance(reply, str) else reply
