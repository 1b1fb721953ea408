"""The REST routes of application commands, global and of one guild."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot.sandbox.discord.command_rules import check_command, check_commands, check_installs
from bot.sandbox.discord.commands import ENTRY_POINT, Command, registered
from bot.sandbox.discord.errors import FormErrors, refused

if TYPE_CHECKING:
    from bot.sandbox.discord.calls import Call
    from bot.sandbox.discord.world import Json


_DEFAULT_LOCALE: Final = "en-US"  # Discord: if a request names no other


def _scope(call: Call) -> int | None:
    if call.id("application_id") != call.me:
        raise refused("unknown_application")
    return call.guild().id if "guild_id" in call.ids else None


def _command(call: Call, scope: int | None) -> Command:
    command = call.state.commands.get(call.id("command_id"))
    if command is None or command.guild_id != scope:
        raise refused("unknown_command")
    return command


def _check_installs(call: Call, form: FormErrors, path: tuple[int, ...], command: Any) -> None:
    knobs = call.state.knobs
    is_global = "guild_id" not in call.ids
    if is_global and knobs.refuse_unsupported_installs and isinstance(command, dict):
        check_installs(form, path, command, knobs.portal.installs)


def _register(call: Call, scope: int | None, form: Json) -> tuple[Command, bool]:
    kind = form.get("type") or 1
    if scope is None:  # Discord: by default those that the application supports
        form = {"integration_types": call.state.knobs.portal.installs} | form
    version = call.state.world.snowflakes.next()
    for command in registered(call.state, scope):
        if command.name == form["name"] and command.type == kind:
            if command.form != form:
                command.form, command.version = form, version
            return command, False
    command = Command(call.state.world.snowflakes.next(), version, scope, form)
    call.state.commands[command.id] = command
    return command, True


async def list_commands(call: Call) -> tuple[int, Any]:
    """GET .../commands."""
    full = call.query.get("with_localizations") in {"1", "true"}
    locale = None if full else _DEFAULT_LOCALE
    found = registered(call.state, _scope(call))
    return 200, [command.as_json(call.me, locale=locale) for command in found]


async def overwrite_commands(call: Call) -> tuple[int, Any]:
    """PUT .../commands: replace all commands."""
    scope = _scope(call)
    forms = call.body or []
    errors = FormErrors()
    if not isinstance(forms, list):
        errors.add((), "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
        forms = []
    check_commands(errors, forms)
    for index, form in enumerate(forms):
        _check_installs(call, errors, (index,), form)
    errors.raise_if_any()
    kinds = {form.get("type") for form in forms}
    if ENTRY_POINT not in kinds and any(
        command.type == ENTRY_POINT for command in registered(call.state, scope)
    ):
        raise refused("entry_point_removed")
    kept = [_register(call, scope, form)[0] for form in forms]
    for command in registered(call.state, scope):
        if command not in kept:
            del call.state.commands[command.id]
    call.state.journal.note("commands_registered", names=[command.name for command in kept])
    return 200, [command.as_json(call.me) for command in kept]


async def create_command(call: Call) -> tuple[int, Any]:
    """POST .../commands: 201 for a new one, 200 if it replaces one of its name."""
    scope, form = _scope(call), call.form()
    errors = FormErrors()
    check_command(errors, (), form)
    _check_installs(call, errors, (), form)
    errors.raise_if_any()
    if len(registered(call.state, scope)) >= 130:
        raise refused("too_many_commands")
    command, new = _register(call, scope, form)
    return (201 if new else 200), command.as_json(call.me)


async def get_command(call: Call) -> tuple[int, Any]:
    """GET .../commands/{command_id}."""
    return 200, _command(call, _scope(call)).as_json(call.me)


async def edit_command(call: Call) -> tuple[int, Any]:
    """PATCH .../commands/{command_id}."""
    command, form = _command(call, _scope(call)), call.form()
    errors = FormErrors()
    check_command(errors, (), form | {"type": command.type}, partial=True)
    _check_installs(call, errors, (), form)
    errors.raise_if_any()
    command.form = command.form | form
    command.version = call.state.world.snowflakes.next()
    return 200, command.as_json(call.me)


async def delete_command(call: Call) -> tuple[int, Any]:
    """DELETE .../commands/{command_id}."""
    command = _command(call, _scope(call))
    del call.state.commands[command.id]
    return 204, None
