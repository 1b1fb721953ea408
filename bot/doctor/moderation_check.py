"""Check the moderation service: whether it gives a verdict, and soon enough."""

import asyncio
import time
from typing import Final

from bot.doctor.findings import Finding, fail, ok, warn
from bot.errors import (
    ModelAddressWrong,
    ModelError,
    ModelKeyRefused,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
)
from bot.llm.api_config import VERDICT_SECONDS, ModerationConfig, ModerationPolicy
from bot.llm.moderation import ModerationApi

HARMLESS: Final = "Hello"
SLOW_SECONDS: Final = 2.0  # The first words of an answer wait no longer.
REMEDIES: Final[dict[type[ModelError], str]] = {
    ModelKeyRefused: "Put a key of that service into MODERATION_API_KEY.",
    ModelAddressWrong: "Correct MODERATION_BASE_URL; it usually ends in v1.",
    ModelUnknown: "Correct MODERATION_MODEL, or MODERATION_BASE_URL: not every server moderates.",
    ModelUnreachable: "Check MODERATION_BASE_URL, the network, and whether the server runs.",
    ModelTimeout: "Check MODERATION_BASE_URL and the network.",
}


async def check_moderation(config: ModerationConfig, host: str) -> list[Finding]:
    """Let the service at *host* check a harmless word."""
    began = time.monotonic()
    try:
        async with ModerationApi.open(config) as service, asyncio.timeout(VERDICT_SECONDS):
            await service.categories(HARMLESS)
    except TimeoutError:
        error = ModelTimeout(f"no verdict within {VERDICT_SECONDS:.0f} s")
        return [_failure(config, host, error)]
    except ModelError as error:
        return [_failure(config, host, error)]
    seconds = time.monotonic() - began
    if seconds > SLOW_SECONDS:
        text = f"{host} checks questions, but took {seconds:.1f} s."
        return [warn("moderation_slow", text, "Answers wait for it: use a faster service.")]
    return [ok("moderation", f"{host} checks questions, and took {seconds:.1f} s.")]


def _failure(config: ModerationConfig, host: str, error: ModelError) -> Finding:
    required = config.policy is ModerationPolicy.REQUIRE
    text = (
        f"{host} does not check questions, so they are "
        f"{'refused' if required else 'answered unchecked'}: "
        f"{' '.join(filter(None, (type(error).__name__, str(error))))}."
    )
    remedy = REMEDIES.get(type(error), "See docs/troubleshooting.md.")
    return (fail if required else warn)("moderation", text, remedy)
