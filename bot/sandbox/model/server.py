"""Stand in for an OpenAI-compatible chat API, as a process of its own.

`python -m bot.sandbox.model.server` prints one JSON line with its addresses when it is ready.
"""

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

from aiohttp import web

from bot.sandbox.model.control import Control
from bot.sandbox.model.moderation import MODERATION_MODELS, inputs_of, verdict
from bot.sandbox.model.replies import echo, offline_reply
from bot.sandbox.model.request_rules import check_moderation, check_request
from bot.sandbox.model.rules import (
    COUNT_THE_REPLY,
    InStream,
    ListedRefusal,
    Refusal,
    check_context,
    check_images,
    check_key,
    check_model,
    check_reply_limit,
    check_roles,
    check_streaming,
    check_turns,
    count_prompt_tokens,
    count_tokens,
    last_question,
)
from bot.sandbox.model.state import ModelSettings, ModelState, Record
from bot.sandbox.model_script import Completion, Script

JsonObject = dict[str, Any]

EVENT_STREAM: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
}
_CHARACTERS_PER_TOKEN: Final = 4
_BODY_LIMIT: Final = 64 * 2**20  # bytes; prompts with images in them
_LISTED_MODEL: Final = "stand-in"  # the model in /models if every name is known
_PARENT_CHECK_SECONDS: Final = 0.5
_TROUBLE_CHUNKS: Final = 12  # pieces of text before a stall or a cut
_STALL_SECONDS: Final = 60.0
_SHUTDOWN_SECONDS: Final = 0.2


class _CutError(Exception):
    """The script closes the connection here."""


class _Exchange:
    """One request, its record, and the sent part of the answer."""

    def __init__(self, request: web.Request, record: Record) -> None:
        self.request = request
        self.record = record
        self.bytes_left: int | None = None  # None: no limit
        self._response = web.StreamResponse()

    async def start(self, status: int, headers: dict[str, str]) -> None:
        self.record.status = status
        self._response = web.StreamResponse(
            status=status, headers={"x-request-id": f"req_{self.record.seq}", **headers}
        )
        await self._response.prepare(self.request)

    async def write(self, data: bytes) -> None:
        """Send *data*, up to the script's limit; raises `_CutError` at the limit."""
        if self.bytes_left is None:
            await self._response.write(data)
            return
        await self._response.write(data[: self.bytes_left])
        self.bytes_left -= len(data)
        if self.bytes_left <= 0:
            raise _CutError

    async def send_json(self, status: int, value: object) -> None:
        await self.send_body(status, json.dumps(value).encode(), {}, "application/json")

    async def send_body(
        self, status: int, body: bytes, headers: dict[str, str], content_type: str
    ) -> None:
        length = {"Content-Type": content_type, "Content-Length": str(len(body))}
        await self.start(status, {**length, **headers})
        await self.write(body)

    async def finish(self) -> web.StreamResponse:
        await self._response.write_eof()
        return self._response

    def cut(self) -> web.StreamResponse:
        """Close the connection now; the answer stays incomplete."""
        if self.request.transport is not None:
            self.request.transport.close()
        return self._response


class ChatAPI:
    """Handlers under /v1: chat completions, moderations and the list of models."""

    def __init__(self, state: ModelState) -> None:
        self._state = state

    def app(self) -> web.Application:
        """Return the application to mount at /v1."""
        app = web.Application(client_max_size=_BODY_LIMIT)
        app.router.add_post("/chat/completions", self._chat_completions)
        app.router.add_post("/moderations", self._moderations)
        app.router.add_get("/models", self._models)
        app.router.add_get("/models/{id:.+}", self._model)
        app.router.add_route("*", "/{rest:.*}", self._unknown)
        return app

    async def _chat_completions(self, request: web.Request) -> web.StreamResponse:
        return await self._recorded(request, self._complete)

    async def _moderations(self, request: web.Request) -> web.StreamResponse:
        return await self._recorded(request, self._moderate)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return await self._recorded(request, self._list_models)

    async def _model(self, request: web.Request) -> web.StreamResponse:
        return await self._recorded(request, self._show_model)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        return await self._recorded(request, self._refuse_address)

    async def _recorded(
        self, request: web.Request, act: Callable[[_Exchange], Awaitable[None]]
    ) -> web.StreamResponse:
        """Let *act* answer *request*, and record the outcome."""
        exchange = _Exchange(request, self._noted(request))
        outcome = "disconnected"
        try:
            try:
                check_key(_key(request), self._state.settings.api_key)
                await act(exchange)
            except Refusal as refusal:
                body = refusal.body()
                is_listed = isinstance(refusal, ListedRefusal)
                await exchange.send_json(refusal.status, [body] if is_listed else body)
            except InStream as refusal:
                await exchange.start(200, EVENT_STREAM)
                await exchange.write(refusal.data)
            response = await exchange.finish()
            outcome = "complete" if response.status < 400 else "refused"
        except _CutError:
            outcome = "cut"
            response = exchange.cut()
        except ConnectionError:
            response = exchange.cut()
        finally:
            self._state.log.end(exchange.record, outcome)
        return response

    def _noted(self, request: web.Request) -> Record:
        headers = {
            name: value for name, value in request.headers.items() if name != "Authorization"
        }
        expected = self._state.settings.api_key
        key = _key(request)
        key_ok = bool(key) if expected is None else key == expected
        return self._state.log.add(request.method, request.path, headers, key_ok=key_ok)

    async def _list_models(self, exchange: _Exchange) -> None:
        script = self._state.listing
        if script is not None:
            exchange.bytes_left = script.disconnect_after_bytes
            await self._state.stall(script.stall_before_seconds)
            await self._send_verbatim(exchange, script)
            return
        models = self._state.settings.models or (_LISTED_MODEL,)
        settings = self._state.settings
        window = {"max_model_len": settings.context_window} if settings.lists_window else {}
        data = [_model_object(model) | window for model in models]
        await exchange.send_json(200, {"object": "list", "data": data})

    async def _show_model(self, exchange: _Exchange) -> None:
        model = exchange.request.match_info["id"]
        check_model(model, self._state.settings.models)
        await exchange.send_json(200, _model_object(model))

    async def _refuse_address(self, exchange: _Exchange) -> None:
        request = exchange.request
        raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    async def _complete(self, exchange: _Exchange) -> None:
        body = await self._checked(exchange)
        script = self._state.next_script(last_question(body["messages"])) or self._own(body)
        exchange.bytes_left = script.disconnect_after_bytes
        await self._state.stall(script.stall_before_seconds)
        completion = self._completion(exchange.record.seq, body, script)
        if script.status != 200 or script.body is not None:
            await self._send_verbatim(exchange, script)
        elif body.get("stream") and not script.as_json:
            await self._stream(exchange, script, completion)
        else:
            delay, rate = self._pace(script)
            await asyncio.sleep(delay + (len(script.pieces()) / rate if rate else 0))
            await exchange.send_json(200, completion.whole(script))

    async def _moderate(self, exchange: _Exchange) -> None:
        body = check_moderation(await self._parsed(exchange))
        model = body.get("model") or MODERATION_MODELS[0]
        check_model(model, MODERATION_MODELS)
        judged = [(one, self._state.judgement_of(one.text)) for one in inputs_of(body["input"])]
        await self._state.stall(max(judgement.delay_seconds for _, judgement in judged))
        for _, judgement in judged:
            if judgement.status != 200 or judgement.body is not None:
                script = Script(status=judgement.status, body=judgement.body)
                await self._send_verbatim(exchange, script)
                return
        results = [verdict(one, judgement.categories) for one, judgement in judged]
        answer = {"id": f"modr-{exchange.record.seq}", "model": model, "results": results}
        await exchange.send_json(200, answer)

    async def _parsed(self, exchange: _Exchange) -> Any:
        """Record the body of a request and return it."""
        try:
            exchange.record.body = await exchange.request.json()
        except ValueError:
            raise Refusal(
                400,
                "We could not parse the JSON body of your request. (HINT: This likely means "
                "you aren't using your HTTP library correctly.)",
            ) from None
        self._state.log.wake()
        return exchange.record.body

    async def _checked(self, exchange: _Exchange) -> JsonObject:
        """Return the body of a request that the settings allow."""
        settings = self._state.settings
        body = check_request(await self._parsed(exchange), settings.tokens_parameter)
        check_model(body["model"], settings.models)
        check_streaming(body, accepted=settings.streams)
        if "stream_options" in body and not settings.takes_stream_options:
            raise Refusal(400, "Unrecognized request argument supplied: stream_options")
        check_images(body["messages"], accepted=settings.takes_images)
        check_roles(body["messages"], settings.system_role)
        check_turns(body["messages"], alternating=settings.alternating)
        check_reply_limit(_reply_limit(body) or 0, settings.max_reply_tokens)
        check_context(
            self._prompt_tokens(body),
            _reply_limit(body) or 0,
            settings.context_window,
            settings.dialect,
        )
        return body

    def _prompt_tokens(self, body: JsonObject) -> int:
        settings = self._state.settings
        return count_prompt_tokens(
            body["messages"], settings.token_multiplier, settings.image_tokens
        )

    def _own(self, body: JsonObject) -> Script:
        """Return the reply of the stand-in without a script."""
        settings = self._state.settings
        if settings.mode == "offline":
            text = offline_reply(body["messages"], self._prompt_tokens(body))
        else:
            text = echo(body["messages"])
        script = _troubled(Script(text=text, chunk_size=settings.chunk_size), settings.trouble)
        limit = _reply_limit(body)
        if settings.dialect not in COUNT_THE_REPLY:
            left = settings.context_window - self._prompt_tokens(body)
            limit = left if limit is None else min(limit, left)
        return script if limit is None else script.cut_to(limit * _CHARACTERS_PER_TOKEN)

    def _completion(self, number: int, body: JsonObject, script: Script) -> Completion:
        multiplier = self._state.settings.token_multiplier
        usage = script.usage
        if usage is None:
            reasoning = count_tokens(script.reasoning, multiplier)
            prompt = self._prompt_tokens(body)
            said = reasoning + count_tokens("".join(script.pieces()), multiplier)
            usage = {
                "prompt_tokens": prompt,
                "completion_tokens": said,
                "total_tokens": prompt + said,
                "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
            }
        options = body.get("stream_options") or {}
        return Completion(
            number=number,
            created=int(time.time()),
            model=body["model"],
            usage=dict(usage) or None,
            wants_usage=bool(options.get("include_usage")),
        )

    async def _send_verbatim(self, exchange: _Exchange, script: Script) -> None:
        headers = dict(script.headers)
        content_type = headers.pop("Content-Type", None)
        body = script.body
        if body is None:
            message = "The server had an error while processing your request. Sorry about that!"
            body = Refusal(script.status, message, type="server_error").body()
        if isinstance(body, str):
            default = "text/html" if body.lstrip().startswith("<") else "text/plain"
            await exchange.send_body(script.status, body.encode(), headers, content_type or default)
            return
        await exchange.send_body(
            script.status, json.dumps(body).encode(), headers, content_type or "application/json"
        )

    def _pace(self, script: Script) -> tuple[float, float]:
        """Return the seconds before the first text, and the pieces a second (0: at once)."""
        settings = self._state.settings
        delay, rate = script.first_token_delay_seconds, script.chunks_per_second
        return (
            settings.first_token_delay_seconds if delay is None else delay,
            settings.chunks_per_second if rate is None else rate,
        )

    async def _stream(self, exchange: _Exchange, script: Script, completion: Completion) -> None:
        await exchange.start(200, {**EVENT_STREAM, **script.headers})
        delay, rate = self._pace(script)
        if script.raw is None:
            for data in completion.opening(script):
                await exchange.write(data)
        await asyncio.sleep(delay)
        texts = completion.texts(script) if script.raw is None else script.raw
        await self._stream_texts(exchange, script, texts, rate)
        if script.raw is None:
            for data in completion.closing(script):
                await exchange.write(data)

    async def _stream_texts(
        self, exchange: _Exchange, script: Script, texts: Iterable[bytes], rate: float
    ) -> None:
        now = asyncio.get_running_loop().time
        due = now()
        stalled = script.stall_seconds == 0
        for number, data in enumerate(texts):
            if not stalled and number >= script.stall_after_chunks:
                await self._state.stall(script.stall_seconds)
                stalled, due = True, now()
            if rate and number:
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - now()))
            if number == script.disconnect_after_chunks:
                raise _CutError
            await exchange.write(data)
            exchange.record.sent_text(number + 1)
        if not stalled:
            await self._state.stall(script.stall_seconds)
        if script.disconnect_after_chunks is not None:
            raise _CutError


def _troubled(script: Script, trouble: str) -> Script:
    if trouble == "rate_limit":
        sentence = "Rate limit reached for requests. Please try again later."
        raise Refusal(429, sentence, type="requests", code="rate_limit_exceeded")
    if trouble == "stall":
        return replace(script, stall_after_chunks=_TROUBLE_CHUNKS, stall_seconds=_STALL_SECONDS)
    if trouble == "cut":
        return replace(script, disconnect_after_chunks=_TROUBLE_CHUNKS)
    return script


def _key(request: web.Request) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _reply_limit(body: JsonObject) -> int | None:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return limit if isinstance(limit, int) else None


def _model_object(model: str) -> JsonObject:
    about = {"created": 1_700_000_000, "owned_by": "stand-in", "shutdown_date": None}
    return {"id": model, "object": "model", **about}


async def serve(settings: ModelSettings, host: str, port: int, parent_pid: int | None) -> None:
    """Serve until SIGTERM, SIGINT or the end of the parent; print the addresses when ready."""
    state = ModelState(settings)
    app = web.Application(client_max_size=_BODY_LIMIT)
    app.add_subapp("/v1", ChatAPI(state).app())
    app.add_subapp("/control", Control(state).app())
    # A disconnect cancels the handler, so that the record has its time.
    runner = web.AppRunner(
        app, handler_cancellation=True, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        root = "http://{}:{}".format(*runner.addresses[0][:2])
        ready = {"base_url": f"{root}/v1", "control_url": f"{root}/control"}
        print(json.dumps(ready), flush=True)
        await _until_stopped(stop, parent_pid)
    finally:
        await runner.cleanup()


async def _until_stopped(stop: asyncio.Event, parent_pid: int | None) -> None:
    was_parent = os.getppid() == parent_pid
    while parent_pid is None or _alive(parent_pid, was_parent=was_parent):
        with suppress(TimeoutError):
            async with asyncio.timeout(None if parent_pid is None else _PARENT_CHECK_SECONDS):
                await stop.wait()
                return


def _alive(pid: int, *, was_parent: bool) -> bool:
    if was_parent:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m bot.sandbox.model.server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: one that is free")
    parser.add_argument("--parent-pid", type=int, help="end when this process has ended")
    parser.add_argument(
        "--settings",
        default="{}",
        help=f"JSON; the defaults: {json.dumps(asdict(ModelSettings()))}".replace("%", "%%"),
    )
    given = parser.parse_args()
    try:
        settings = ModelSettings().changed(json.loads(given.settings))
    except ValueError as error:
        parser.error(f"--settings: {error}")
    asyncio.run(serve(settings, given.host, given.port, given.parent_pid))


if __name__ == "__main__":
    main()
