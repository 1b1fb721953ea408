"""The log: its formats, and the texts that it never contains."""

import json
import logging
import re
import subprocess
import sys
import time

import pytest

from bot.log_events import as_event
from bot.logs import JsonFormatter, TextFormatter, set_up_logging
from tests.e2e.conduct import check_log

SECRET = "what somebody wrote"


def a_failure() -> logging.LogRecord:
    try:
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            raise KeyError(SECRET) from error
    except KeyError:
        exc_info = sys.exc_info()
    return logging.LogRecord("bot.x", logging.ERROR, "x.py", 1, "It %s", ("broke",), exc_info)


def test_text_is_time_level_module_message() -> None:
    record = logging.LogRecord("bot.client", logging.INFO, "x.py", 1, "Hi %s", ("there",), None)
    line = TextFormatter().format(record)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO    bot.client: Hi there", line)


def test_an_exception_is_logged_by_type_and_place_without_its_text() -> None:
    text = TextFormatter().format(a_failure())
    assert SECRET not in text
    assert re.findall(r"^  (\w+Error)$", text, re.MULTILINE) == ["KeyError", "ValueError"]
    assert text.count("test_logs.py:") == 2


def test_json_is_one_object_a_line() -> None:
    line = JsonFormatter().format(a_failure())
    event = json.loads(line)
    assert "\n" not in line
    assert SECRET not in line
    assert (event["level"], event["logger"], event["message"]) == ("ERROR", "bot.x", "It broke")
    assert "KeyError" in event["exception"]
    plain = logging.LogRecord("bot.x", logging.INFO, "x.py", 1, "안녕\nHi", (), None)
    assert json.loads(JsonFormatter().format(plain))["message"] == "안녕\nHi"
    assert "안녕" in JsonFormatter().format(plain)


def record_with(**extra: object) -> logging.LogRecord:
    logger = logging.getLogger("bot.x")
    return logger.makeRecord("bot.x", logging.INFO, "x.py", 1, "Hi", (), None, extra=extra)


def test_json_has_the_event_and_those_of_its_fields_that_apply() -> None:
    said = as_event("question_ended", question=7, guild=None, outcome="answered", whole_s=1.23456)
    event = json.loads(JsonFormatter().format(record_with(**said)))
    assert {name: event[name] for name in event.keys() - {"time", "level", "logger"}} == {
        "message": "Hi",
        "event": "question_ended",
        "question": "7",
        "outcome": "answered",
        "whole_s": 1.235,
    }


def test_json_has_the_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 3339, wherever the machine is."""
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    record = record_with()
    record.created = 1_796_040_000.0625
    try:
        assert json.loads(JsonFormatter().format(record))["time"] == "2026-11-30T12:00:00.062Z"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_nothing_that_a_library_adds_to_a_record_is_written() -> None:
    record = record_with(event="x", fields={"headers": SECRET}, body=SECRET)
    record.name = "some.library"
    assert SECRET not in JsonFormatter().format(record)
    assert set(json.loads(JsonFormatter().format(record))) == {"time", "level", "logger", "message"}


def test_a_field_has_no_key() -> None:
    said = as_event("login_failed", outcome="ghp_" + "a1B2" * 9)
    event = json.loads(JsonFormatter().format(record_with(**said)))
    assert event["outcome"] == "[removed: GitHub token]"


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_line_has_no_key_and_no_token(formatter: logging.Formatter) -> None:
    token = "aW50ZXJhY3Rpb246" * 4
    url = f"https://discord.com/api/v10/webhooks/1124318712345678901/{token}/messages/@original"
    key = "ghp_" + "a1B2" * 9
    record = logging.LogRecord("discord.http", 30, "x.py", 1, "PATCH %s, %s", (url, key), None)
    line = formatter.format(record)
    assert token not in line
    assert key not in line
    assert "1124318712345678901" in line
    assert "[removed: GitHub token]" in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_libraries_log_warnings_at_every_level(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    set_up_logging("DEBUG", form)  # type: ignore[arg-type]  # a parameter of the test
    logging.getLogger("bot.client").debug("own detail")
    logging.getLogger("discord.http").info("library detail")
    logging.getLogger("discord.http").warning("library trouble")
    written = capsys.readouterr().err
    assert "own detail" in written
    assert "library detail" not in written
    assert "library trouble" in written


def test_a_second_setup_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO", "json")
    set_up_logging("WARNING", "text")
    logging.getLogger("bot.x").info("too little")
    logging.getLogger("bot.x").warning("once")
    written = capsys.readouterr().err
    assert written.count("once") == 1
    assert "too little" not in written


FAILING = {
    "expected": "logging.getLogger('bot.x').warning('It waits.')",
    "logged": "try: 1 / 0\nexcept ZeroDivisionError: logging.getLogger('bot.x').exception('Oh')",
    "uncaught": "1 / 0",
}


@pytest.mark.parametrize(
    ("form", "how"),
    [("text", "expected"), ("text", "logged"), ("json", "logged"), ("text", "uncaught")],
)
def test_a_stage_reports_errors_when_it_ends(form: str, how: str) -> None:
    setting_up = f"import logging, bot.logs\nbot.logs.set_up_logging('INFO', '{form}')\n"
    said = subprocess.run(
        [sys.executable, "-c", setting_up + FAILING[how]],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    ).stderr
    if how == "expected":
        check_log(said, [], [])
        return
    with pytest.raises(AssertionError, match=r"the bot failed|went round"):
        check_log(said, [], [])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_crash_is_logged_like_everything_else(form: str) -> None:
    """What its error says may quote somebody."""
    crash = (
        f"import bot.logs\nbot.logs.set_up_logging('INFO', '{form}')\nraise ValueError('{SECRET}')"
    )
    run = subprocess.run([sys.executable, "-c", crash], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert SECRET not in run.stderr
    assert "Stop the bot: an error that nobody expected" in run.stderr
    assert "ValueError" in run.stderr
    if form == "json":
        assert json.loads(run.stderr)["level"] == "ERROR"


def test_a_warning_of_a_library_is_logged_like_everything_else() -> None:
    setting_up = "import bot.logs, warnings\nbot.logs.set_up_logging('INFO', 'json')\n"
    warning = f"{setting_up}warnings.warn('It is old')"
    run = subprocess.run(
        [sys.executable, "-c", warning], capture_output=True, text=True, check=True
    )
    assert "It is old" in json.loads(run.stderr)["message"]
