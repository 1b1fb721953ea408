"""The real chat servers to try, with their installation and start."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".real-servers"
START_SECONDS: Final = 180.0
STOP_SECONDS: Final = 10.0
GLANCE_SECONDS: Final = 0.2
KEY: Final = "sk-of-a-server-on-this-machine-alone"
# LiteLLM asks for both on its own; the second would come from the network.
ENVIRONMENT: Final = {
    "PYTHONPATH": str(ROOT),
    "LITELLM_MASTER_KEY": KEY,
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_API_KEY": KEY,
}


@dataclass(frozen=True, slots=True)
class Start:
    """The command of a server, run in the folder of the *weights*.

    Its programs are in *bin*. It passes requests on to *upstream*, if it is a gateway.
    """

    bin: Path
    weights: str
    port: int
    window: int
    upstream: str


@dataclass(frozen=True, slots=True)
class Server:
    """A chat server: the *packages* to install, with their versions, and its *command*.

    *template* is the chat template of its model. If that refuses the system turn, one request more
    may be refused after each start of the bot, *refused_at_start*. A gateway *passes_on_to* another
    of the servers.
    """

    name: str
    packages: tuple[str, ...]
    command: Callable[[Start], Sequence[object]]
    template: str = "chatml"
    refused_at_start: int = 0
    passes_on_to: str = ""


def _llama_cpp(start: Start) -> Sequence[object]:
    python = start.bin / "python"
    return (python, "-m", "tests.real.llama_cpp", start.weights, start.port, start.window)


def _dasllama(start: Start) -> Sequence[object]:
    program = start.bin / "dasllama-server"
    return (program, "-m", start.weights, "-p", start.port, "--ctx", start.window, "-t", 1)


def _llama_cpp_python(start: Start) -> Sequence[object]:
    program = (start.bin / "python", "-m", "llama_cpp.server", "--model", start.weights)
    address = ("--host", "127.0.0.1", "--port", start.port)
    return (*program, *address, "--n_ctx", start.window, "--n_threads", 1)


def _litellm(start: Start) -> Sequence[object]:
    program = (start.bin / "litellm", "--host", "127.0.0.1", "--port", start.port)
    model = ("--model", f"openai/{start.weights}", "--api_base", f"{start.upstream}/v1")
    return (*program, *model, "--telemetry", "False")


LLAMA_CPP: Final = ("xllamacpp==2026.10.11549",)
LLAMA_CPP_PYTHON: Final = ("llama-cpp-python[server]==0.3.36",)
SERVERS: Final = {
    one.name: one
    for one in (
        Server("llama.cpp", LLAMA_CPP, _llama_cpp),
        Server("dasllama", ("dasllama==0.6.6",), _dasllama),
        Server("llama-cpp-python", LLAMA_CPP_PYTHON, _llama_cpp_python),
        Server("llama-cpp-python-no-system", LLAMA_CPP_PYTHON, _llama_cpp_python, "no-system", 1),
        Server("litellm", ("litellm[proxy]==1.108.7",), _litellm, passes_on_to="llama.cpp"),
    )
}


def installed(*packages: str) -> Path:
    """Return the programs' folder of an environment with *packages*; create it if missing."""
    folder = FOLDER / re.split(r"\W*[=\[]", packages[0])[0]
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != " ".join(packages):
        print(f"Installing {' '.join(packages)} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--disable-pip-version-check", *packages], check=True)
        stamp.write_text(" ".join(packages), encoding="utf-8")
    return folder / "bin"


def weights(template: str) -> Path:
    """Return the file of the model with this chat template, after writing it."""
    path = FOLDER / f"recital-{template}.gguf"
    python = installed("gguf==0.19.0") / "python"
    command: list[str | Path] = [python, "-m", "tests.real.weights", path, template]
    subprocess.run(command, check=True, env=os.environ | ENVIRONMENT)
    return path


@asynccontextmanager
async def running(server: Server, window: int) -> AsyncIterator[str]:
    """Run *server* with a window of so many tokens; yields its address without the /v1."""
    async with AsyncExitStack() as stack:
        upstream = ""
        if server.passes_on_to:
            upstream = await stack.enter_async_context(
                running(SERVERS[server.passes_on_to], window)
            )
        yield await stack.enter_async_context(_started(server, window, upstream))


@asynccontextmanager
async def _started(server: Server, window: int, upstream: str) -> AsyncIterator[str]:
    bin_folder = installed(*server.packages)
    start = Start(bin_folder, weights(server.template).name, _free_port(), window, upstream)
    address = f"http://127.0.0.1:{start.port}"
    log = FOLDER / f"{server.name}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *map(str, server.command(start)),
            cwd=FOLDER,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            env=os.environ | ENVIRONMENT,
        )
    try:
        await _answering(address, process, log)
        yield address
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _answering(address: str, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not await models(address):
            if process.returncode is not None:
                raise RuntimeError(f"the server ended at once: see {log}")
            await asyncio.sleep(GLANCE_SECONDS)


async def models(address: str) -> list[str]:
    """Return the models that a server lists, none if it does not answer yet."""
    headers = {"Authorization": f"Bearer {KEY}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(f"{address}/v1/models") as response,
        ):
            listed = await response.json() if response.status == 200 else {}
    except aiohttp.ClientError:
        return []
    return [str(one["id"]) for one in listed.get("data", [])]


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
