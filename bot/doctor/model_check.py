"""Check the chat API: whether it answers, takes the key, and knows the model."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from bot.conversation.prompt import Prompt, Role, Turn
from bot.doctor.findings import Finding, Level, and_more, fail, ok, warn
from bot.doctor.proxies import proxy_variable
from bot.errors import (
    ModelAddressWrong,
    ModelEmpty,
    ModelError,
    ModelKeyRefused,
    ModelThoughtOnly,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
    OutputTruncated,
)
from bot.i18n.sentences import ENGLISH
from bot.llm.client import ChatCompletions
from bot.llm.models import ListedModel
from bot.llm.request_budget import RequestBudget
from bot.settings import Settings

LIST_SECONDS: Final = 10.0
UNLISTED: Final = "model_unknown"
SOON: Final = timedelta(days=30)
NAMED_MODELS: Final = 10
LEAST: Final = Prompt((Turn(Role.USER, "Hi"),), 1, 0, 100, reply_tokens=1)
NO_QUESTION: Final = 0  # in place of the id of a question
# With one token, these mean that the model answers.
ANSWERED: Final = (OutputTruncated, ModelEmpty, ModelThoughtOnly)
REMEDIES: Final[dict[type[ModelError], str]] = {
    ModelKeyRefused: "Put a new key into OPENAI_API_KEY.",
    ModelAddressWrong: "Correct OPENAI_BASE_URL; it usually ends in v1.",
    ModelUnknown: "Check OPENAI_MODEL and OPENAI_BASE_URL.",
    ModelUnreachable: "Check OPENAI_BASE_URL, the network, and whether the server runs.",
    ModelTimeout: "Check OPENAI_BASE_URL and the network.",
}


async def check_model(settings: Settings, *, live: bool) -> list[Finding]:
    """Read the list of models; if *live*, also ask for one token."""
    async with ChatCompletions.open(settings.api) as model:
        listed = await _list(model, settings)
        if not live:
            return listed
        answer = await _ask(model, settings)
    if answer.level is Level.OK:  # Then it does not matter whether the model is listed.
        listed = [one for one in listed if one.name != UNLISTED]
    return [*listed, answer]


async def _list(model: ChatCompletions, settings: Settings) -> list[Finding]:
    try:
        async with asyncio.timeout(LIST_SECONDS):
            listed = await model.list_models()
    except TimeoutError:
        return [_failure(ModelTimeout(f"no answer within {LIST_SECONDS:.0f} s"), settings)]
    except ModelUnknown as error:
        if isinstance(error, ModelAddressWrong):
            return [_failure(error, settings)]
        text = f"{settings.openai_host} has no list of models ({error})."
        return [warn("model_list", text, "Ask the model itself with --live.")]
    except ModelError as error:
        return [_failure(error, settings)]
    models = "1 model" if len(listed) == 1 else f"{len(listed)} models"
    reachable = ok("model_api", f"{settings.openai_host} answers and lists {models}.")
    return [reachable, *judge_models(listed, settings, datetime.now(UTC).date())]


async def _ask(model: ChatCompletions, settings: Settings) -> Finding:
    name = settings.openai_model
    try:
        async with model.stream(LEAST, RequestBudget(NO_QUESTION), model=name) as completion:
            async for _ in completion:
                pass
    except ANSWERED:
        pass
    except ModelError as error:
        return _failure(error, settings)
    return ok("model_live", f"{name} answers.")


def judge_models(
    listed: Sequence[ListedModel], settings: Settings, today: date
) -> Iterator[Finding]:
    """Judge the models of the settings by those that the API lists."""
    known = {model.name: model for model in listed}
    model = known.get(settings.openai_model)
    if model is not None:
        yield from _judge_model(model, settings, today)
    elif listed:
        yield _unlisted(settings, [*known])
    unknown = [name for name in settings.openai_models if name not in known]
    if listed and unknown:
        text = f"OPENAI_MODELS has models that are not listed: {and_more(unknown, NAMED_MODELS)}."
        yield warn("models_offered", text, "Correct the names: people may choose these models.")


def _unlisted(settings: Settings, names: list[str]) -> Finding:
    text = (
        f"{settings.openai_host} does not list the model {settings.openai_model}. "
        f"It lists: {and_more(names, NAMED_MODELS)}."
    )
    if settings.at_openai:
        return fail(UNLISTED, text, "Correct OPENAI_MODEL.")
    # Some compatible servers answer under names that they do not list.
    return warn(UNLISTED, text, "Correct OPENAI_MODEL, or ask the model with --live.")


def _judge_model(model: ListedModel, settings: Settings, today: date) -> Iterator[Finding]:
    yield ok("model", f"The model {model.name} is listed.")
    if model.shutdown is not None and model.shutdown <= today:
        text = f"The API shut {model.name} down on {model.shutdown}."
        yield fail("model_shutdown", text, "Choose another model in OPENAI_MODEL.")
    elif model.shutdown is not None and model.shutdown <= today + SOON:
        text = f"The API shuts {model.name} down on {model.shutdown}."
        yield warn("model_shutdown", text, "Choose another model in OPENAI_MODEL before that.")
    wanted = settings.context_tokens + settings.reply_tokens
    if 0 < model.window < wanted:
        text = (
            f"CONTEXT_TOKENS + REPLY_TOKENS = {wanted} are more than the context window of "
            f"{model.name}, {model.window}. The bot learns that, but long questions fail at first."
        )
        yield warn("model_window", text, "Lower CONTEXT_TOKENS or REPLY_TOKENS.")


def _failure(error: ModelError, settings: Settings) -> Finding:
    said = error.explain(ENGLISH).partition(". ")[0].removesuffix(".")
    remedy = REMEDIES.get(type(error), "See docs/troubleshooting.md.")
    variable = proxy_variable(settings.openai_base_url)
    if variable is not None and isinstance(error, ModelUnreachable | ModelTimeout):
        remedy = (
            f"The bot goes through the proxy in {variable}: check that proxy, or add "
            f"{settings.openai_host} to NO_PROXY."
        )
    detail = f" {error}" if str(error) else ""
    text = f"The bot would say: {said}. ({settings.openai_host}: {type(error).__name__}{detail})"
    return fail("model_api", text, remedy)
