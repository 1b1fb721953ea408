"""How long a server asks to wait, in the forms that servers use."""

import json
import time
from datetime import UTC, datetime

import pytest

from bot.llm.retry_delays import NO_DELAY, RetryDelay, retry_delay

NOW = datetime(2026, 12, 1, 20, tzinfo=UTC).timestamp()  # noon in California
DATE = "Tue, 01 Dec 2026 20:00:00 GMT"


def delay_of(
    headers: dict[str, str], body: object = None, words: str = "", *, limited: bool = True
) -> RetryDelay:
    return retry_delay(headers, json.dumps(body), words, NOW, limited=limited)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"retry-after": "0.3"}, 0.3),
        ({"Retry-After": "1", "Retry-After-Ms": "300"}, 0.3),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "Tue, 01 Dec 2026 20:00:07 GMT"}, 7),
        # The clocks of the two machines may differ.
        (
            {
                "Retry-After": "Tue, 01 Dec 2026 23:00:07 GMT",
                "Date": "Tue, 01 Dec 2026 23:00:00 GMT",
            },
            7,
        ),
        ({"Retry-After": "Tue, 01 Dec 2026 19:00:00 GMT"}, 0),
        ({"Retry-After": "6m0s"}, 360),
        ({"Retry-After": str(int(NOW) + 9)}, 9),
        ({"Retry-After": "soon"}, 0),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "inf"}, float("inf")),
        ({"x-ratelimit-reset-requests": "3.2s"}, 3.2),
        ({"x-ratelimit-reset-tokens": "1m2s"}, 62),
        ({"x-ratelimit-reset-tokens": "500ms"}, 0.5),
        ({"X-RateLimit-Reset": "12"}, 12),
        ({"X-RateLimit-Reset": str(int(NOW) + 12)}, 12),
        ({"X-RateLimit-Reset": str((int(NOW) + 12) * 1000)}, 12),
        ({"x-ratelimit-timeremaining": "12"}, 12),
        ({"anthropic-ratelimit-requests-reset": "2026-12-01T20:00:12Z"}, 12),
        ({"RateLimit": '"default";r=0;t=50'}, 50),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"llm_provider-x-ratelimit-reset-tokens": "2s"}, 2),
        # Which of the limits was reached
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "3s",
                "x-ratelimit-remaining-tokens": "149984",
                "x-ratelimit-reset-tokens": "1ms",
            },
            3,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "14370",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-tokens": "17",
                "x-ratelimit-reset-tokens": "7.66s",
            },
            7.66,
        ),
        ({"x-ratelimit-reset-requests": "3.2s", "x-ratelimit-reset-tokens": "6m0s"}, 3.2),
        ({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": "3s"}, 0),
        ({"Retry-After": "5", "x-ratelimit-reset-requests": "6m0s"}, 5),
    ],
)
def test_headers_tell_a_wait(headers: dict[str, str], seconds: float) -> None:
    assert delay_of(headers).seconds == pytest.approx(seconds)


def test_the_state_of_the_limits_is_no_wait_if_the_request_was_not_limited() -> None:
    assert delay_of({"x-ratelimit-reset-tokens": "7.66s"}, limited=False) == NO_DELAY
    assert delay_of({"Retry-After": "2"}, limited=False).seconds == 2


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({"X-RateLimit-Reset": f"{NOW + 7200:.0f}"}, 7200),
        ({"X-RateLimit-Reset": f"{NOW + 7200:.0f}", "Date": DATE}, 7200),
        ({"Retry-After": "7200", "Date": DATE}, 7200),
        # The server's clock is an hour ahead.
        ({"X-RateLimit-Reset": f"{NOW + 7200:.0f}", "Date": DATE.replace("20:", "21:")}, 3601),
        ({"Retry-After": "7200", "Date": DATE.replace("20:", "21:")}, 7201),
        ({"Retry-After": "inf"}, 0),
        ({"Retry-After": "1e8"}, 0),
    ],
)
def test_the_end_of_a_wait_is_a_moment_here(headers: dict[str, str], after: int) -> None:
    until = retry_delay(headers, "", "", NOW + 0.9, limited=True).until
    assert until == (int(NOW) + after if after else 0)


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s. Need more?", 4.77),
        ("Please try again in 1m2s.", 62),
        ("Please try again in 500ms.", 0.5),
        ("Please try again in 6m0s.", 360),
        ("Please try again in 9m38.016s.", 578.016),
        ("limit: 15\nPlease retry in 3.3s.", 3.3),
        ("Please retry after 26 seconds.", 26),
        ("please try again after 1 seconds", 1),
        ("Please wait 23 seconds before retrying.", 23),
        ("No deployments available, Try again in 5 seconds. Passed model=x", 5),
        ("Your quota will reset after 18h31m10s.", 66_670),
        ("Try again in 2 hours and 5 minutes", 7500),
        ("retry in about 1 min", 60),
        ("Retry-After: 30.", 30),
        ("请在 30 秒后重试", 30),
        ("30초 후에 다시 시도하세요", 30),
        ("Limit resets at: 2026-12-01 20:00:09 UTC", 9),
        ("try again at 2026-12-01T21:00:09+01:00", 9),
        ("It resets at midnight UTC.", 4 * 3600),
        ("It resets on Tue, 01 Dec 2026 20:00:09 GMT", 9),
        ("Please retry after a brief wait.", 0),
        ("Please try again in a minute.", 0),
        ("I gave up: retry after 3 attempts", 0),
        ("It took 3 s.", 0),
    ],
)
def test_words_tell_a_wait(words: str, seconds: float) -> None:
    assert delay_of({}, words=words).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "x/google.rpc.RetryInfo", "retryDelay": "3s"}]}}, 3),
        ([{"error": {"details": [{"retryDelay": "3.5s"}]}}], 3.5),
        ({"error": {"details": [{"retryDelay": {"seconds": 3, "nanos": 5}}]}}, 3),
        ({"error": {"metadata": {"raw": json.dumps({"error": {"retryDelay": "5s"}})}}}, 5),
        ({"error": {"metadata": {"headers": {"X-RateLimit-Reset": str(int(NOW) + 9)}}}}, 9),
        ({"error": {"metadata": {"quotaResetDelay": "479.4ms"}}}, 0.4794),
        ({"error": "Model x is currently loading", "estimated_time": 20.0}, 20),
        ({"retry_after": 4}, 4),
        ({"error": {"reset": "2026-12-01T20:00:04Z", "cooldown_seconds": 3}}, 4),
        ({"quotaResetTimeStamp": "2026-12-01T20:00:04Z"}, 4),
        ({"retry_after_ms": 400}, 0.4),
        ({"retryAfterSeconds": 4}, 4),
        ({"error": {"type": "usage_limit_reached", "resets_in_seconds": 3600}}, 3600),
        ({"error": {"resets_at": int(NOW) + 3600}}, 3600),
        ({"retry_after": True, "wait": None}, 0),
    ],
)
def test_a_body_tells_a_wait(body: object, seconds: float) -> None:
    assert delay_of({}, body).seconds == pytest.approx(seconds)


def test_the_longest_of_several_waits_is_the_right_one() -> None:
    """A RetryInfo has whole seconds, rounded down."""
    assert (
        delay_of({"Retry-After": "1"}, {"retryDelay": "3s"}, "Please retry in 3.9s.").seconds == 3.9
    )


@pytest.mark.parametrize(
    ("words", "is_long"),
    [
        ("Rate limit exceeded: free-models-per-day. Add 10 credits", True),
        (
            "Rate limit exceeded: free-models-per-min. Add 10 credits for 1000 requests per day",
            False,
        ),
        ("Limit reached on tokens per day (TPD): Limit 100000", True),
        ("Limit reached on tokens per minute (TPM): Limit 6000", False),
        ("you have reached your hourly usage limit", True),
        ("Rate limit of 50 per 86400s exceeded for UserByModelByDay.", True),
        ("Rate limit of 10 per 60s exceeded for UserByModelByMinute.", False),
        ("you have used up your daily free allocation of 10,000 neurons", True),
        ("Usage limit reached for 5 hour.", True),
        ("you have reached your session usage limit", True),
        ("The quota has been exceeded for this month.", True),
        ("该API已达今日调用次数限额", True),
        ("하루 사용량을 모두 썼습니다", True),
        ("每分钟最多20次", False),
        ("Too many requests", False),
    ],
)
def test_a_limit_for_an_hour_or_longer_is_recognised(words: str, is_long: bool) -> None:
    assert delay_of({}, words=words) == RetryDelay(0, is_long=is_long)


def test_the_source_of_a_limit_names_its_time() -> None:
    body = {"error": {"metadata": {"limit_source": "openrouter_free_tier_daily"}}}
    assert delay_of({}, body, "Rate limit exceeded") == RetryDelay(0, is_long=True)


@pytest.mark.parametrize(
    ("delay", "seconds"), [("59s", 12 * 3600), (None, 12 * 3600), ("39043s", 39_043)]
)
def test_googles_daily_quota_renews_at_midnight_in_california(
    delay: str | None, seconds: float
) -> None:
    """The wait that it asks for within a minute is that of another limit."""
    violation = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
    body = {"error": {"details": [{"violations": [violation]}, {"retryDelay": delay}]}}
    assert delay_of({}, body) == RetryDelay(seconds, is_long=True, until=int(NOW + seconds))


@pytest.mark.parametrize(
    "words", ["1" * 4000, "1m" * 2000, "1s " * 1300, "1s, and " * 500, "wait" + " " * 3990]
)
def test_no_words_take_long_to_read(words: str) -> None:
    begun = time.perf_counter()
    delay_of({}, words=words)
    assert time.perf_counter() - begun < 1


def test_a_moment_out_of_range_is_none() -> None:
    far = {"Date": "0001-01-01T00:00:00+14:00", "Retry-After": "Mon, 01 Jan 99999 00:00:00 GMT"}
    assert delay_of(far, {"quotaId": "PerDay"}).until
