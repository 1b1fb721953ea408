"""Settings from the environment and `.env`: all problems reported at once, values never shown."""

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin
from urllib.parse import urlsplit

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from bot.access import NO_IDS, AccessLists, Ids
from bot.conversation.prompt import PromptConfig
from bot.conversation.token_estimate import estimate_tokens
from bot.errors import SettingsInvalid
from bot.llm.api_config import ApiConfig, ModerationConfig, ModerationPolicy
from bot.llm.base_address import BaseAddress, without_endpoint
from bot.llm.budget_rules import NO_BUDGETS, BudgetRules
from bot.llm.model_catalog import OfferedModels
from bot.llm.models import is_model_name
from bot.llm.prices import NO_PRICES, Prices, read_prices
from bot.secret_shapes import redacted
from bot.storage.location import DatabaseUnknown, Location, SqliteLocation, location_of

DEFAULT_MODEL: Final = "gpt-6-luna"
OPENAI_HOST: Final = "api.openai.com"
MODERATION_MODEL: Final = "omni-moderation-latest"
RESERVED_OPTIONS: Final = frozenset(
    {"messages", "model", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"}
)
ENV_FILE: Final = Path(".env")
AUTO: Final = "auto"
MOST_SHARDS: Final = 10_000  # Discord recommends one for some 1,000 servers.
HOST: Final = re.compile(r"[A-Za-z0-9._:-]{1,253}")
ID_DIGITS: Final = 20  # Discord: 64 bits; more digits are two ids without a comma between them
TOKEN_LENGTH_LIMIT: Final = 500  # Longer than any key or token in use, shorter than a pasted file.

# How people find an id: Discord shows none by itself.
COPY_ID: Final = " (in Discord: Settings > Advanced > Developer Mode, then right-click > Copy ID)"

Language = Literal["en", "ko"]
# How to fix a setting whose type and bounds do not say it; `remedy` derives the other remedies.
REMEDIES: Final = {
    "discord_token": (
        "set it to the bot's token: Discord Developer Portal > your application > Bot > Reset Token"
    ),
    "openai_api_key": (
        "set it to a key from platform.openai.com/api-keys, "
        "or set OPENAI_BASE_URL to a compatible server that needs none"
    ),
    "openai_base_url": (
        "give an address like http://localhost:11434/v1, or leave it empty; percent-encode special "
        "characters in a user name or password"
    ),
    "openai_model": f"give the name of a model, like {DEFAULT_MODEL}",
    "openai_models": (
        f"give names of models separated by commas, like {DEFAULT_MODEL}, or leave it empty for "
        "all that the API lists"
    ),
    "openai_options": (
        'give a JSON object like {"temperature": 0.5}, without '
        + ", ".join(sorted(RESERVED_OPTIONS))
        + " (they have settings of their own)"
    ),
    "system_prompt": "shorten it to at most half of CONTEXT_TOKENS, or raise CONTEXT_TOKENS",
    "allowed_guilds": f"give server ids separated by commas{COPY_ID}, or leave it empty for all",
    "blocked_guilds": f"give server ids separated by commas{COPY_ID}",
    "allowed_channels": (
        f"give ids of channels, categories and threads separated by commas{COPY_ID}, "
        "or leave it empty for all"
    ),
    "blocked_channels": (
        f"give ids of channels, categories and threads separated by commas{COPY_ID}"
    ),
    "allowed_roles": f"give role ids separated by commas{COPY_ID}, or leave it empty for all",
    "blocked_roles": f"give role ids separated by commas{COPY_ID}",
    "allowed_users": f"give user ids separated by commas{COPY_ID}, or leave it empty for all",
    "blocked_users": f"give user ids separated by commas{COPY_ID}",
    "admins": f"give user ids separated by commas{COPY_ID}",
    "allow_dms": "give true or false",
    "redact": "give true or false",
    "token_prices": (
        f'give a JSON object like {{"{DEFAULT_MODEL}": [0.15, 0.6], "currency": "$"}}: for each '
        "model what a million tokens cost, in and out"
    ),
    "moderation_base_url": (
        "give the address of a moderation service, like https://api.openai.com/v1; it may be empty "
        "only if OPENAI_BASE_URL is OpenAI's own address"
    ),
    "moderation_api_key": (
        "set it to a key from platform.openai.com/api-keys, because MODERATION_BASE_URL is OpenAI's"
    ),
    "moderation_model": f"give the name of a model, like {MODERATION_MODEL}",
    "moderation_required": "give true or false; true needs MODERATION=refuse",
    "budgets": (
        'give a JSON object like {"person": {"day": 0.5}, "bot": {"month": 50}}: what a person, a '
        "server and the bot may use in a day and a month, in the currency of TOKEN_PRICES, or with "
        '"unit": "tokens" in tokens'
    ),
    "unpriced_budgets": (
        "add each model that people may choose to TOKEN_PRICES, or give the budgets in tokens with "
        '"unit": "tokens"'
    ),
    "database_url": (
        "give an address like sqlite:///data/bot.db or postgresql://user:password@host:5432/name; "
        "percent-encode special characters in a user name or password"
    ),
    "shards": f"give a whole number from 1 to {MOST_SHARDS}, or auto for what Discord recommends",
    "needless_limit": "remove it, or use PostgreSQL",
    "health_port": "give a port from 1 to 65535, or leave it empty to open none",
    "health_host": "give an address of this machine like 127.0.0.1, or 0.0.0.0 for all of them",
    "discord_api_url": "give an address like https://discord.com/api/v10",
    "discord_gateway_url": "give an address like wss://gateway.discord.gg/",
}


def _url(*schemes: str) -> AfterValidator:
    """Return the validator of an address that begins with one of *schemes*."""

    def checked(url: str) -> str:
        url = url.strip()
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        if not plain or parts.scheme not in schemes or not parts.hostname or parts.port == 0:
            raise ValueError
        return url

    return AfterValidator(checked)


def _api_address(url: str) -> str:
    BaseAddress.parse(url)
    return without_endpoint(url)


def _is_openai(url: object) -> bool:
    """Whether *url* is at OpenAI's own address, or at a regional one."""
    try:
        host = urlsplit(str(url).strip()).hostname or ""
    except ValueError:
        return False
    return host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}")


def _needed(value: object) -> object:
    if value == "":  # _named drops empty settings, so a validator says that it is needed.
        raise PydanticCustomError("missing", "missing")
    return value


def _from_text(read: Callable[[str], object]) -> BeforeValidator:
    """Return the validator that reads a text with *read* and keeps any other value."""
    return BeforeValidator(lambda value: read(value) if isinstance(value, str) else value)


def _ids(text: str) -> frozenset[int]:
    words = text.strip("[] \t").replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) <= ID_DIGITS for word in words):
        raise ValueError
    return frozenset(int(word) for word in words)


def _models(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    if not all(name == "" or is_model_name(name) for name in names):
        raise ValueError
    return tuple(filter(None, names))


def _no_json(_constant: str) -> object:
    raise ValueError  # Python accepts NaN and Infinity, an API does not.


def _budgets(text: str) -> BudgetRules:
    from bot.llm.budgets_setting import read_budgets  # noqa: PLC0415  # saves idle memory

    return read_budgets(text)


def _json_object(text: str) -> dict[str, Any]:
    try:
        options = json.loads(text, parse_constant=_no_json)
    except RecursionError:  # Too many brackets are no ValueError, which pydantic would report.
        raise ValueError from None
    if not isinstance(options, dict) or RESERVED_OPTIONS & options.keys():
        raise ValueError
    return options


def _header_safe(value: SecretStr) -> SecretStr:
    secret = value.get_secret_value().strip()
    if not secret:
        raise PydanticCustomError("missing", "missing")
    printable = secret.isascii() and secret.isprintable() and " " not in secret
    if not printable or len(secret) > TOKEN_LENGTH_LIMIT:
        raise ValueError
    return SecretStr(secret)


def _shards(text: str) -> int | str:
    text = _lower(text)
    if text == AUTO:
        return AUTO
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MOST_SHARDS):
        raise ValueError
    return int(text)


def _host(text: str) -> str:
    host = text.strip()
    if not HOST.fullmatch(host):
        raise ValueError
    host.encode("idna")  # As sockets do: ValueError for a part that is empty or too long.
    return host


def _upper(text: str) -> str:
    return text.strip().upper()


def _lower(text: str) -> str:
    return text.strip().lower()


def _language(text: str) -> str:
    """Accept a Language, or a list for gettext, as desktops set it: ko_KR:ko:en_US."""
    if not {"_", ":"} & set(text):
        return _lower(text)
    wanted = [one.partition("_")[0].strip() for one in text.lower().split(":")]
    return next((one for one in wanted if one in get_args(Language)), "en")


Secret = Annotated[SecretStr, AfterValidator(_header_safe)]
HttpUrl = Annotated[str, _url("http", "https"), AfterValidator(lambda url: url.rstrip("/"))]
ApiUrl = Annotated[str, _url("http", "https"), AfterValidator(_api_address)]
WebSocketUrl = Annotated[str, _url("ws", "wss")]
IdSet = Annotated[Ids, _from_text(_ids)]
Seconds = Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)]


def values_in_file() -> dict[str, str | None]:
    """Return the names and values in `.env`; raises UnicodeDecodeError or OSError."""
    text = _file_text()
    if not text:
        return {}
    # Imported late: it takes 0.1 MB, and a container has no such file.
    from dotenv import dotenv_values  # noqa: PLC0415

    return dotenv_values(stream=io.StringIO(text))


def unread_lines() -> list[int]:
    """Return the lines of `.env` that set nothing, by their numbers; raises as above."""
    from dotenv.parser import parse_stream  # noqa: PLC0415  # as above

    return [
        statement.original.line
        for statement in parse_stream(io.StringIO(_file_text()))
        if statement.error or (statement.key is not None and statement.value is None)
    ]


def _file_text() -> str:
    try:
        # utf-8-sig: Notepad writes a byte order mark, which would become part of the first name.
        return ENV_FILE.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):  # Docker mounts a folder if the file is missing.
        return ""


def _named(values: Mapping[str, str | None]) -> dict[str, object]:
    return {name.lower(): value for name, value in values.items() if value}


class Settings(BaseModel):
    """The settings of the operator. Times are in seconds."""

    model_config = ConfigDict(hide_input_in_errors=True)

    discord_token: Secret
    openai_api_key: Secret | None = None
    openai_base_url: ApiUrl = Field(f"https://{OPENAI_HOST}/v1", repr=False)
    openai_model: str = Field(DEFAULT_MODEL, min_length=1, max_length=200)
    openai_models: Annotated[tuple[str, ...], _from_text(_models)] = ()
    openai_options: Annotated[dict[str, Any] | None, _from_text(_json_object)] = None
    context_tokens: int = Field(8000, ge=500, le=2_000_000)
    system_prompt: str = "You are a helpful assistant. Answer briefly and plainly."
    reply_tokens: int = Field(2000, ge=16, le=200_000)
    allowed_guilds: IdSet = NO_IDS
    blocked_guilds: IdSet = NO_IDS
    allowed_channels: IdSet = NO_IDS
    blocked_channels: IdSet = NO_IDS
    allowed_roles: IdSet = NO_IDS
    blocked_roles: IdSet = NO_IDS
    allowed_users: IdSet = NO_IDS
    blocked_users: IdSet = NO_IDS
    admins: IdSet = NO_IDS
    allow_dms: bool = True
    user_messages_per_minute: int = Field(20, ge=1, le=10_000)
    token_prices: Annotated[Prices, _from_text(read_prices)] = NO_PRICES
    budgets: Annotated[BudgetRules, _from_text(_budgets)] = NO_BUDGETS
    language: Annotated[Language, _from_text(_language)] = "en"
    moderation: Annotated[Literal["off", "log", "refuse"], _from_text(_lower)] = "off"
    moderation_base_url: Annotated[ApiUrl | None, BeforeValidator(_needed)] = Field(
        None, repr=False
    )
    moderation_api_key: Secret | None = None
    moderation_model: str = Field(MODERATION_MODEL, min_length=1, max_length=200)
    moderation_required: bool = False
    retention_days: int = Field(0, ge=0, le=3650)
    reply_parts: int = Field(5, ge=1, le=100)
    image_turns: int = Field(3, ge=0, le=10)
    attachment_bytes: int = Field(10_000_000, ge=0, le=100_000_000)
    catch_up_hours: float = Field(24, ge=0, le=168, allow_inf_nan=False)
    database_url: str = Field("sqlite:///data/bot.db", repr=False)
    shards: Annotated[int | Literal["auto"], _from_text(_shards)] = 1
    shards_per_process: int = Field(0, ge=0, le=MOST_SHARDS)
    requests_per_second: int = Field(45, ge=5, le=10_000)
    first_token_timeout: Seconds = 60
    stream_idle_timeout: Seconds = 45
    reply_timeout: float = Field(600, ge=1, le=86_400, allow_inf_nan=False)
    shutdown_grace: float = Field(20, ge=0, le=3600, allow_inf_nan=False)
    redact: bool = True
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], _from_text(_upper)] = "INFO"
    log_format: Annotated[Literal["text", "json"], _from_text(_lower)] = "text"
    health_port: int | None = Field(None, ge=1, le=65535)
    health_host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    discord_api_url: HttpUrl = "https://discord.com/api/v10"
    discord_gateway_url: WebSocketUrl = "wss://gateway.discord.gg/"

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, url: str) -> str:
        try:
            location_of(url)
        except DatabaseUnknown:
            raise PydanticCustomError("other_database", "not supported") from None
        return url

    @field_validator("shards_per_process")
    @classmethod
    def _others_can_have_the_rest(cls, most: int, info: ValidationInfo) -> int:
        url = info.data.get("database_url")
        if most and url is not None and isinstance(location_of(url), SqliteLocation):
            raise PydanticCustomError("needless_limit", "no other process")
        return most

    @field_validator("budgets")
    @classmethod
    def _can_be_counted(cls, budgets: BudgetRules, info: ValidationInfo) -> BudgetRules:
        given: dict[str, Any] = info.data
        if budgets.in_money and {"openai_model", "openai_models", "token_prices"} <= given.keys():
            models = {given["openai_model"], *given["openai_models"]}
            if not models <= given["token_prices"].per_million.keys():
                raise PydanticCustomError("unpriced", "a model without a price")
        return budgets

    @field_validator("system_prompt")
    @classmethod
    def _leaves_room(cls, prompt: str, info: ValidationInfo) -> str:
        context_tokens = info.data.get("context_tokens")
        if context_tokens is not None and estimate_tokens(prompt) > context_tokens // 2:
            raise ValueError
        return prompt

    @model_validator(mode="before")
    @classmethod
    def _key_or_other_server(cls, given: Any) -> Any:
        at_openai = OPENAI_HOST in str(given.get("openai_base_url") or OPENAI_HOST).lower()
        key = given.get("openai_api_key")
        blank = not key or (isinstance(key, str) and not key.strip())
        return {**given, "openai_api_key": "" if at_openai else None} if blank else given

    @model_validator(mode="before")
    @classmethod
    def _moderation_elsewhere(cls, given: Any) -> Any:
        """Require an address if the chat API is not OpenAI's: words may not be meant for OpenAI."""
        if str(given.get("moderation") or "off").strip().lower() == "off":
            return given
        at_openai = _is_openai(given.get("openai_base_url") or f"https://{OPENAI_HOST}/v1")
        url, needed = given.get("moderation_base_url"), dict[str, str]()
        if not url and not at_openai:
            needed["moderation_base_url"] = ""
        if url and _is_openai(url) and not at_openai and not given.get("moderation_api_key"):
            needed["moderation_api_key"] = ""
        return {**given, **needed}

    @field_validator("moderation_required")
    @classmethod
    def _refuses(cls, required: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  # pydantic's
        if required and info.data.get("moderation") in {"off", "log"}:
            raise ValueError
        return required

    @property
    def moderation_api(self) -> ModerationConfig | None:
        """The configuration of the moderation service, None if questions are not checked."""
        policies = {"log": ModerationPolicy.LOG, "refuse": ModerationPolicy.REFUSE}
        policy = policies.get(self.moderation)
        if policy is None:
            return None
        url, key = self.moderation_base_url or self.openai_base_url, self.moderation_api_key
        if key is None and _is_openai(url) and _is_openai(self.openai_base_url):
            key = self.openai_api_key
        return ModerationConfig(
            base_url=url,
            api_key=key.get_secret_value() if key is not None else None,
            model=self.moderation_model,
            policy=ModerationPolicy.REQUIRE if self.moderation_required else policy,
        )

    @property
    def moderation_host(self) -> str:
        """The host that checks questions, "" if none does."""
        config = self.moderation_api
        return "" if config is None else urlsplit(config.base_url).hostname or ""

    @property
    def database(self) -> Location:
        """The database that DATABASE_URL names."""
        return location_of(self.database_url)

    @property
    def database_path(self) -> Path | None:
        """The SQLite file that DATABASE_URL names, None if it is not SQLite."""
        database = self.database
        return database.path if isinstance(database, SqliteLocation) else None

    @property
    def access(self) -> AccessLists:
        """Who may use the bot, and where."""
        return AccessLists(
            allowed_guilds=self.allowed_guilds,
            blocked_guilds=self.blocked_guilds,
            allowed_channels=self.allowed_channels,
            blocked_channels=self.blocked_channels,
            allowed_roles=self.allowed_roles,
            blocked_roles=self.blocked_roles,
            allowed_users=self.allowed_users,
            blocked_users=self.blocked_users,
            admins=self.admins,
            direct_messages=self.allow_dms,
        )

    @property
    def prompts(self) -> PromptConfig:
        """The settings of prompts."""
        return PromptConfig(system_prompt=self.system_prompt, token_budget=self.context_tokens)

    @property
    def offered_models(self) -> tuple[str, ...]:
        """The models that people may choose, with the default; empty if they may choose any.

        If budgets are in money, a model without a price cannot be chosen.
        """
        models = self.openai_models
        if not models and self.budgets.in_money:
            models = tuple(self.token_prices.per_million)
        return tuple(dict.fromkeys((self.openai_model, *models))) if models else ()

    @property
    def budget_rules(self) -> BudgetRules:
        """The budgets, with the prices that they count by."""
        return replace(self.budgets, prices=self.token_prices)

    @property
    def redaction(self) -> Callable[[str], str]:
        """What removes keys from a text that people wrote; it changes nothing if that is off."""
        return redacted if self.redact else str

    @property
    def models(self) -> OfferedModels:
        """The default model and the offered ones."""
        return OfferedModels(self.openai_model, self.offered_models)

    @property
    def openai_host(self) -> str:
        """The host that requests go to."""
        return urlsplit(self.openai_base_url).hostname or ""

    @property
    def at_openai(self) -> bool:
        """Whether requests go to OpenAI's own address rather than a compatible server."""
        return self.openai_host == OPENAI_HOST

    @property
    def api(self) -> ApiConfig:
        """The configuration of the chat API."""
        key = self.openai_api_key
        return ApiConfig(
            base_url=self.openai_base_url,
            api_key=key.get_secret_value() if key is not None else None,
            model=self.openai_model,
            options=self.request_options,
            reply_tokens=lambda: self.reply_tokens,
            length_option="max_completion_tokens" if self.at_openai else "max_tokens",
            first_token_seconds=self.first_token_timeout,
            idle_seconds=self.stream_idle_timeout,
            reply_seconds=self.reply_timeout,
        )

    def request_options(self, model: str) -> dict[str, Any]:
        """Return the options that are merged into each request to *model*.

        Without options, the default model would reason first: slowly, and within the tokens that
        are meant for the reply.
        """
        if self.openai_options is not None:
            return self.openai_options
        if self.at_openai and model == DEFAULT_MODEL:
            return {"reasoning_effort": "none"}
        return {}

    def changed(self, **given: object) -> Self:
        """Return the settings with those *given*; raises SettingsInvalid, as `load` does."""
        return self._checked({**dict(self), **given})

    @classmethod
    def _checked(cls, values: Mapping[str, object]) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            problems = {str(e["loc"][0]): e["type"] for e in error.errors()}
            text = "\n".join(_problem(*problem) for problem in problems.items())
            raise SettingsInvalid(text, problems.keys()) from None

    @classmethod
    def load(cls, **given: object) -> Self:
        """Read the settings from *given*, the environment and `.env` in this folder.

        They take precedence in this order. Names may be in upper or lower case; an empty value
        counts as missing. Raises SettingsInvalid with a sentence for each problem.
        """
        try:
            return cls._checked({**_named(values_in_file()), **_named(os.environ), **given})
        except UnicodeDecodeError:
            raise SettingsInvalid(".env is not UTF-8 text: save it as UTF-8.") from None
        except OSError as error:
            problem = f".env cannot be read ({error.strerror}): make it readable."
            raise SettingsInvalid(problem) from None


def remedy(field: str) -> str:
    """Return what to do about a setting that is missing or not valid."""
    if field in REMEDIES:
        return REMEDIES[field]
    info = Settings.model_fields[field]
    if get_origin(info.annotation) is Literal:
        *others, last = get_args(info.annotation)
        return f"give {', '.join(others)} or {last}"
    lowest = next(bound.ge for bound in info.metadata if isinstance(bound, Ge))
    highest = next(bound.le for bound in info.metadata if isinstance(bound, Le))
    unit = "hours" if field.endswith("_hours") else "seconds"
    number = "a whole number" if info.annotation is int else f"a number of {unit}"
    return f"give {number} from {lowest} to {highest}"


def _problem(field: str, kind: str) -> str:
    if kind == "unpriced":
        advice = REMEDIES["unpriced_budgets"]
        return f"{field.upper()} needs a price for each model that people may choose: {advice}."
    if kind == "needless_limit":
        reason = "leaves shards to other processes, but a SQLite file takes one process"
        return f"{field.upper()} {reason}: {REMEDIES[kind]}."
    problem = {
        "missing": "is missing",
        "other_database": "names another database than SQLite or PostgreSQL",
    }.get(kind, "is not valid")
    return f"{field.upper()} {problem}: {remedy(field)}."
