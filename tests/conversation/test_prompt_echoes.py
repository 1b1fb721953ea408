"""An answer never contains the program's own lines, and every other text unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.conversation import prompt_markup
from bot.conversation.prompt_echoes import PromptEchoFilter
from bot.conversation.prompt_markup import CONTINUE_NOTE, CUT_MARK, FORMS, time_gap

WRITES = "⟦Helperbot (@helperbot) writes⟧"
GAP = time_gap(1 << 60, (1 << 60) + (7_200_000 << 22))
WORDS = st.sampled_from(
    [
        WRITES,
        CUT_MARK,
        "⟦",
        "⟧",
        "x",
        "⟦file a b⟧",
        "[[a (@b) writes]]",
        "[",
        "]",
        "**",
        "_",
        "\n",
        " ",
        "`",
        "```",
        "> ",
        ":",
        "e",
    ]
)


def shown(*pieces: str) -> str:
    answer = PromptEchoFilter()
    return "".join(map(answer.write, pieces)) + answer.end()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (f"{WRITES}\nHello", "Hello"),
        (f"{WRITES} Hello", "Hello"),
        (f"{WRITES}: Hello", "Hello"),
        (f"\n\n{WRITES}\r\nHello", "\n\nHello"),
        (f"**{WRITES}**\nHello", "Hello"),
        (f"*{WRITES}:*\nHello", "Hello"),
        (f"> {WRITES}\n> Hello", "> \n> Hello"),
        (WRITES, ""),
        ("⟦Helperbot (@helper", ""),
        ("⟦@helperbot writes⟧\nHello", "Hello"),
        ("⟦Helperbot (@helperbot)⟧\nHello", "Hello"),
        ("⟦Helperbot (@helperbot) replies⟧\nHello", "Hello"),
        ("⟦Helperbot answers⟧ Hello", "Hello"),
        ("⟦Helperbot responds⟧ Hello", "Hello"),
        ("⟦Helperbot schreibt⟧ Hallo", "Hallo"),
        ("⟦도우미봇이 씀⟧ 안녕", "안녕"),
        ("⟦도우미봇님의 답변⟧\n안녕", "안녕"),
        ("⟦助手写道⟧ 你好", "你好"),
        ("⟦a note to myself⟧\nHello", "Hello"),
        ("[[Helperbot (@helperbot) writes]]\nHello", "Hello"),
        ("**[[Helperbot (@helperbot) writes]]:** Hello", "Hello"),
        (f"Hello\n{WRITES}\nand more", "Hello\nand more"),
        ("Hello\n⟦Mina (@mina) wrote earlier; the next message replies to it⟧\nHi", "Hello\nHi"),
        ("⟦You wrote earlier, answering Mina (@mina); the next message replies to it⟧\nHi", "Hi"),
        (f"{GAP}\n{WRITES}\nHello", "Hello"),
        ("⟦forwarded message⟧\nHello", "Hello"),
        ("Hello\n⟦embed⟧\nHi", "Hello\nHi"),
        ("Hello\n⟦file notes.txt⟧\nHi", "Hello\nHi"),
        ("⟦picture cat.png⟧", ""),
        (f"Hello\n{CUT_MARK}", "Hello\n"),
        (f"Hello {CUT_MARK}", "Hello "),
        (f"Hello {CONTINUE_NOTE} and more", "Hello and more"),
    ],
)
def test_an_echoed_line_is_removed(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        "Hello",
        "⟦e⟧ρ denotes the meaning of e.",
        "⟦e⟧\nis a value",
        "so ⟦while b do c⟧ = fix F",
        "f\n⟦x + y⟧\ng",
        "⟦x + y⟧\n= ⟦x⟧ + ⟦y⟧",
        "⟦while b do c⟧\n= fix F",
        "⟦e₁ e₂⟧\nis application",
        "⟦1, n⟧\n",
        "⟦ ⟧\nare brackets",
        "⟦존댓말⟧ 은 높임말이다.",
        "⟦小说⟧ 是书",
        "⟦⟦x⟧⟧",
        "The sign ⟦ opens and ⟧ closes.",
        "⟦",
        "⟦\n⟧",
        "```lean\n⟦a b⟧\n```",
        "**bold** and _more_",
        "[[Helperbot]]",
        "[[Helperbot writes]]\nx",
        "Each begins with [[Mina (@mina) writes]], you see.",
        "`[[Mina (@mina) writes]]`",
        "```\n[[Mina (@mina) writes]]\n```",
        "[[ -f x ]] && echo 1",
        "[link](https://x.y) and [[wiki]] [",
        "[[[1, 2], [3]]]",
        "[[cut",
        "⟦" + "x" * 301 + "⟧",
    ],
)
def test_other_brackets_stay(said: str) -> None:
    assert shown(said) == said
    assert shown(*said) == said, "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        f"Each question begins with `{WRITES}`.",
        f"Each question begins with {WRITES}, as here.",
        f"```\n{WRITES}\nHello\n```",
        f"As here: ```text\n{WRITES}\nHello\n```",
        "You sent ⟦file notes.txt⟧ and ⟦picture cat.png⟧.",
        "⟦file notes.txt⟧ is what you sent.",
    ],
)
def test_an_answer_about_the_lines_has_ordinary_brackets(said: str) -> None:
    answer = said.replace("⟦", "[[").replace("⟧", "]]")
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize("before", ["Sure! ", "네. ", "1. ", "- ", "> **Yes.** ", "Done.\n\n2) "])
def test_a_label_at_the_beginning_of_a_sentence_is_removed(before: str) -> None:
    said = f"{before}{WRITES} Hello"
    assert shown(said) == f"{before}Hello"
    assert shown(*said) == f"{before}Hello", "cut everywhere"


def test_a_label_of_the_models_own_within_a_sentence_has_ordinary_brackets() -> None:
    assert shown("So ⟦Bob (@bob) says⟧ hi") == "So [[Bob (@bob) says]] hi"


def test_every_form_of_the_program_is_known() -> None:
    values = vars(prompt_markup).values()
    forms = {one for one in values if isinstance(one, str) and one[:1] + one[-1:] == "⟦⟧"}
    assert forms == set(FORMS)


@given(st.lists(WORDS, max_size=12).map("".join), st.data())
def test_how_the_text_is_cut_does_not_matter(said: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(said)))
    assert shown(said[:cut], said[cut:]) == shown(*said) == shown(said)


def test_an_answer_is_passed_on_at_once() -> None:
    answer = PromptEchoFilter()
    assert [answer.write(piece) for piece in ("Hello", " ", "`x`", "\n")] == [
        "Hello",
        " ",
        "`x`",
        "\n",
    ]
