"""The token estimate against exact counts, its invariants, and its calibration."""

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bot.conversation.calibration import IMAGE_BOUNDS, Calibration
from bot.conversation.token_estimate import estimate_tokens, shorten

COUNTS = Path(__file__).parents[1] / "data" / "token_counts.json"
STRICT_KINDS = {
    "english_chat",
    "english_prose",
    "code",
    "korean",
    "japanese",
    "chinese",
    "russian",
}

# OpenAI's own counts for o200k_base: "Hello GPT-4o" (2024-05-13), section "Language tokenization".
PUBLISHED = [
    ("Hello, my name is GPT-4o. I'm a new type of language model, it's nice to meet you!", 24),
    ("Привет, меня зовут GPT-4o. Я — новая языковая модель, приятно познакомиться!", 23),
    ("你好，我的名字是GPT-4o。我是一种新型的语言模型，很高兴见到你!", 24),
    ("こんにちわ、私の名前はGPT−4oです。私は新しいタイプの言語モデルです、初めまして", 26),
    (
        (
            "안녕하세요, 제 이름은 GPT-4o입니다. 저는 새로운 유형의 언어 모델입니다, "
            "만나서 반갑습니다!"
        ),
        27,
    ),
    ("مرحبًا، اسمي جي بي تي-4o. أنا نوع جديد من نموذج اللغة، سررت بلقائك!", 26),
    ("नमस्ते, मेरा नाम जीपीटी-4o है। मैं एक नए प्रकार का भाषा मॉडल हूँ। आपसे मिलकर अच्छा लगा!", 31),
    ("வணக்கம், என் பெயர் ஜிபிடி-4o. நான் ஒரு புதிய வகை மொழி மாடல். உங்களை சந்தித்ததில் மகிழ்ச்சி!", 35),
    (
        (
            "Hallo, mein Name is GPT-4o. Ich bin ein neues KI-Sprachmodell. Es ist schön, dich "
            "kennenzulernen."
        ),
        29,
    ),
    (
        (
            "Bonjour, je m'appelle GPT-4o. Je suis un nouveau type de modèle de langage, c'est un "
            "plaisir de vous rencontrer!"
        ),
        28,
    ),
    (
        "Xin chào, tên tôi là GPT-4o. Tôi là một loại mô hình ngôn ngữ mới, rất vui được gặp bạn!",
        30,
    ),
    (
        "Merhaba, benim adım GPT-4o. Ben yeni bir dil modeli türüyüm, tanıştığımıza memnun oldum!",
        30,
    ),
]
MIXED = st.text(alphabet=st.sampled_from(list("aAé .,(_\n\t09ㅋ안かの漢яعह👍🏽🇰\u200d=-'\ud800")))
ANY = st.text(alphabet=st.characters(), max_size=400) | MIXED


def test_counts_of_the_shared_samples_are_met() -> None:
    """In total within 10 % for the kinds that people mostly write, within 25 % for the others."""
    estimated: dict[str, int] = defaultdict(int)
    exact: dict[str, int] = defaultdict(int)
    for sample in json.loads(COUNTS.read_text(encoding="utf-8"))["samples"]:
        estimated[sample["kind"]] += estimate_tokens(sample["text"])
        exact[sample["kind"]] += sample["tokens"]["o200k_base"]
    errors = {kind: estimated[kind] / exact[kind] - 1 for kind in exact}
    bad = {
        kind: f"{error:+.1%}"
        for kind, error in errors.items()
        if abs(error) > (0.10 if kind in STRICT_KINDS else 0.25)
    }
    assert set(errors) >= STRICT_KINDS
    assert not bad


@pytest.mark.parametrize(("text", "count"), PUBLISHED)
def test_published_counts_are_met(text: str, count: int) -> None:
    """One sentence is little to go by: within 30 % each."""
    assert estimate_tokens(text) == pytest.approx(count, rel=0.30)


def test_published_counts_are_met_in_total() -> None:
    estimated = sum(estimate_tokens(text) for text, _ in PUBLISHED)
    assert estimated == pytest.approx(sum(count for _, count in PUBLISHED), rel=0.05)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1234567", 3),
        ("2026-11-22", 6),
        ("camelCaseName", 3),
        ("snake_case_name", 3),
        ("    return x", 3),
        ("a" * 500, 63),
        (" " * 200 + "x", 3),
        ("=====\n" * 30, 30),
        ("I don't", 2),
    ],
)
def test_estimates_follow_the_boundaries_of_the_encoding(text: str, count: int) -> None:
    assert estimate_tokens(text) == count


def test_empty_text_costs_nothing() -> None:
    assert estimate_tokens("") == 0


@given(ANY)
def test_estimate_is_between_one_and_the_bytes(text: str) -> None:
    assume(text)
    assert 1 <= estimate_tokens(text) <= len(text.encode(errors="surrogatepass"))


@given(ANY, ANY)
def test_joined_texts_cost_about_their_sum(first: str, second: str) -> None:
    apart = estimate_tokens(first) + estimate_tokens(second)
    assert estimate_tokens(first + second) <= 1.1 * apart + 5


@pytest.mark.parametrize(
    "unit",
    [
        "word ",
        "a",
        " ",
        "\n",
        " \n",
        "안녕하세요 ",
        "当对话变长时",
        "👍🏽",
        "()[]{}.,",
        "aaaaaab",
        "'",
        "1",
    ],
)
def test_estimating_takes_linear_time(unit: str) -> None:
    """100,000 characters take a fraction of a second: nothing in the pattern backtracks far."""
    text = (unit * 100_000)[:100_000]
    begun = time.process_time()
    estimate_tokens(text)
    assert time.process_time() - begun < 0.5


@given(ANY, st.integers(-2, 60))
@example("0", -1)
def test_shortened_text_is_a_prefix_that_fits(text: str, tokens: int) -> None:
    short = shorten(text, tokens)
    assert text.startswith(short)
    assert estimate_tokens(short) <= max(0, tokens)


@given(ANY)
def test_text_that_fits_is_not_shortened(text: str) -> None:
    assert shorten(text, estimate_tokens(text)) == text


@pytest.mark.parametrize("unit", ["many words in a row ", "오늘은 어떻게 ", "x = f(1)\n", "😂🎉"])
def test_shortened_text_uses_its_budget(unit: str) -> None:
    text = unit * 2000
    short = shorten(text, 1000)
    assert estimate_tokens(short) > 940


def test_text_is_shortened_at_a_line_or_a_word() -> None:
    lines = "one two three four\n" * 30
    assert shorten(lines + "five" * 100, 160) == lines.rstrip("\n")
    words = "one two three four " * 30
    assert shorten(words, 50).split() == words.split()[:50]


@pytest.mark.parametrize("symbol", ["👍🏽", "👩\u200d👩\u200d👧", "🇰🇷", "e\u0301", "⚠️", "हूँ"])
def test_shortening_splits_no_grapheme(symbol: str) -> None:
    for tokens in range(1, 40):
        assert len(shorten(symbol * 40, tokens)) % len(symbol) == 0


def test_shortening_a_very_long_text_is_cheap() -> None:
    begun = time.process_time()
    shorten("a quick brown fox jumps. " * 40_000, 6000)
    assert time.process_time() - begun < 1.0


def test_calibration_converges_in_a_few_prompts() -> None:
    """Five prompts of a thousand tokens bring it within 5 %, from either side."""
    for true in (0.7, 1.4, 2.5):
        calibration = Calibration()
        for _ in range(5):
            calibration = calibration.learn(1000, round(1000 * true))
        assert calibration.factor == pytest.approx(true, rel=0.05)
        assert calibration.apply(1000) == pytest.approx(1000 * true, rel=0.05)


@pytest.mark.parametrize(
    ("estimated", "reported"), [(0, 9), (-5, 9), (9, 0), (9, -9), (900, 10**9)]
)
def test_absurd_report_changes_nothing(estimated: int, reported: int) -> None:
    before = Calibration().learn(800, 1000)
    assert before.learn(estimated, reported) == before


def test_one_odd_report_among_true_ones_does_little_harm() -> None:
    calibration = Calibration()
    for _ in range(8):
        calibration = calibration.learn(1000, 1200)
    assert calibration.learn(4000, 19_000).factor == pytest.approx(1.2, rel=0.2)
    assert calibration.learn(20, 95).factor == pytest.approx(1.2, rel=0.01)


def test_a_long_prompt_calibrates_more_than_a_short_one() -> None:
    assert Calibration().learn(2000, 3000).factor > Calibration().learn(20, 30).factor > 1


@pytest.mark.parametrize("tokens", [64, 258, 765, 1600, 25_501])
def test_the_cost_of_a_picture_is_learned(tokens: int) -> None:
    calibration = Calibration()
    for _ in range(20):
        calibration = calibration.learn(765, tokens, IMAGE_BOUNDS)
    assert tokens / 1.7 < calibration.apply(765) < tokens * 1.7


def test_calibration_follows_a_change() -> None:
    """A model that is replaced under the same name is learned again."""
    calibration = Calibration()
    for _ in range(200):
        calibration = calibration.learn(1000, 1000)
    for _ in range(60):
        calibration = calibration.learn(1000, 1500)
    assert calibration.factor == pytest.approx(1.5, rel=0.05)


@given(st.lists(st.tuples(st.integers(-10, 10**6), st.integers(-10, 10**10)), max_size=30))
def test_factor_stays_within_its_bounds(reports: list[tuple[int, int]]) -> None:
    calibration = Calibration()
    for estimated, reported in reports:
        calibration = calibration.learn(estimated, reported)
        assert 0.5 <= calibration.factor <= 3.0
        assert calibration == Calibration(
            calibration.factor, calibration.weight, calibration.samples
        )
