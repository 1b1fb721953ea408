"""A model's reasoning is never shown, however the text is cut."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.reasoning_filter import WITHIN_LENGTH, ReasoningFilter

WORDS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<",
        "think>",
        "\n",
        "\n\n",
        " ",
        "answer",
        "</think>\n",
        "<b>",
        "/",
        ". ",
        "`",
        "```",
        "<thinking>",
        "</thinking>",
        "[THINK]",
        "[/THINK]",
        "<|channel|>",
        "analysis",
        "assistantfinal",
        "<|end|>",
        "final<|message|>",
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "<answer>",
        "</answer>",
        "is",
    ]
)
TEXTS = st.lists(WORDS, max_size=20).map("".join)
LONG = "hm " * (WITHIN_LENGTH // 3 + 1)


def shown(*pieces: str) -> str:
    reasoning = ReasoningFilter()
    answer = ""
    for piece in pieces:
        said = reasoning.write(piece)
        answer = said if reasoning.replaces else answer + said
    return answer + reasoning.end()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("plain", "plain"),
        ("", ""),
        ("  indented", "  indented"),
        ("<think>hm</think>yes", "yes"),
        ("\n<think>hm</think>\n\nyes\n", "yes\n"),
        ("<think></think>yes", "yes"),
        ("<think>a</think>\n<think>b</think> yes", "yes"),
        ("<think>never ends", ""),
        ("<think>all of it</think>", ""),
        ("<think>all of it</think>\n\n", ""),
        ("<thinker>", "<thinker>"),
        ("<thin", "<thin"),
        ("<", "<"),
        ("1 < 2", "1 < 2"),
        ("use <think>tags</think> so", "use <think>tags</think> so"),
        ("</think>", "</think>"),
        ("<think>a</thin</think>b", "b"),
    ],
)
def test_reasoning_in_front_is_left_out(said: str, answer: str) -> None:
    assert shown(said) == answer


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("hm\n</think>\n\nyes\n", "yes\n"),
        ("hm, so</think>\r\nyes", "yes"),
        ("hm\n</think>Yes", "Yes"),
        ("hm\n</think>네, 그래요", "네, 그래요"),
        ("hm\n</think>는 태그", "hm\n</think>는 태그"),
        (
            "<think>\n<think>\na\n</think>\nWrite </think> and `x</think>`",
            "Write </think> and `x</think>`",
        ),
        ("hm</think> \n", ""),
        ("</think>\n\nyes", "yes"),
        ("1 < 2, `<b>`\n</think>\nyes", "yes"),
        ("hm\n</think>\nNow <think>\nhm</think>\n\nyes", "Now <think>\nhm</think>\n\nyes"),
        ("hm\n</think>\n<think>hm</think>yes", "yes"),
        ("Close it by </think> and go on.\n", "Close it by </think> and go on.\n"),
        ("Between <think> and\n</think>\nit thinks", "Between <think> and\n</think>\nit thinks"),
        ("Write `</think>\n`", "Write `</think>\n`"),
        ("```\n</think>\n```\n", "```\n</think>\n```\n"),
        ("<think>hm</think>Then\n</think>\nyes", "Then\n</think>\nyes"),
    ],
)
def test_text_before_a_lone_closing_tag_is_removed(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("Sure! <think>hm</think> Yes.", "Sure! Yes."),
        ("**Sure.** <think>\nhm\n</think>\n\nYes.", "**Sure.** \n\nYes."),
        ("Sure!\n<think>hm\n\nso</think>\n\nYes.", "Sure!\nYes."),
        ("Sure!\n\n  <think>a</think>\n<think>b</think>\n\nYes.", "Sure!\n\n  Yes."),
        ("<think>a</think>b\n<think>c</think>d", "b\nd"),
        ("a\n<think>hm</think>", "a\n"),
        (f"a\n<think>{'h' * WITHIN_LENGTH}</think>b", "a\nb"),
        ("```\nx\n```\n<think>hm</think>a", "```\nx\n```\na"),
        ("```a```\n<think>hm</think>a", "```a```\na"),
    ],
)
def test_reasoning_inside_an_answer_is_left_out(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        "It is <think>a tag</think> of models",
        "a\n```xml\n<think>x</think>\n```\nb",
        "a\n- ~~~\n<think>x</think>\n```\n<think>x</think>",
        "a\n\n    <think>x</think>",
        "`Sure! <think>x</think>`",
        "Closed never:\n<think>so it is the answer",
        f"a\n<think>{LONG}</think>b",
        "a\n<thin",
        "a\n<thinker>",
    ],
)
def test_text_that_is_not_reasoning_stays(said: str) -> None:
    """A tag in a sentence, in code, or not closed soon enough."""
    assert shown(said) == said
    assert shown(*said) == said, "cut everywhere"


def test_the_end_of_an_answer_is_released() -> None:
    reasoning = ReasoningFilter()
    assert reasoning.write("a\n<think>") == "a\n"
    assert reasoning.write(LONG) == ""
    assert reasoning.write("12345678") == f"<think>{LONG}12345678"
    assert reasoning.write("b") == "b"


HARMONY = (
    "<|channel|>analysis<|message|>The user greets.<|end|>"
    "<|start|>assistant<|channel|>commentary<|message|>I greet back.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Hello!<|return|>"
)
KIMI_K3 = (
    "<|open|>think<|sep|>hm<|close|>think<|sep|>"
    "<|open|>response<|sep|>Hello!<|close|>response<|sep|>"
)
INKLING = (
    "<|message_model|><|content_thinking|>hm<|end_message|>"
    "<|message_model|><|content_text|>Hello!<|end_message|><|content_model_end_sampling|>"
)


@pytest.mark.parametrize(
    "said",
    [
        "<thinking>hm</thinking>Hello!",
        "<THINKING>hm</THINKING>\nHello!",
        "<thought>hm</thought>\n\nHello!",
        "<Thought>\nhm\n</Thought>\nHello!",
        "<mm:think>hm</mm:think>Hello!",
        "</mm:think>Hello!",
        "<seed:think>hm < hm</seed:think>Hello!",
        "<ifm|think>hm</ifm|think>Hello!",
        "<longcat_think>hm</longcat_think>Hello!",
        "<reasoning>hm</reasoning>\nHello!",
        "<antThinking>hm</antThinking>\nHello!",
        "<thinking>a<reflection>b</reflection></thinking>\n<output>\nHello!</output>\n",
        "<think>hm</think>\n<answer>\nHello!</answer>",
        "<REASONING_SCRATCHPAD>hm</REASONING_SCRATCHPAD>Hello!",
        "<think type='deep'>hm</think >Hello!",
        "<o1_thinking>hm</o1_thinking>Hello!",
        "<thinking>a<thinking>b</thinking>c</thinking>Hello!",
        "<think>Outer. <b>x</b>\n<think>inner</think> goes on</think>Hello!",
        "<think><think>hm</think></think>\nHello!",
        "<think>Outer <think>inner</think> goes on</think>Hello!",
        "<think>   <think>\nhm\n</think>   </think>\nHello!",
        "<think>\nSo <think> is a tag\nand `<think>` too\n</think>\nHello!",
        "<think>\n<think>\nnever closed twice\n</think>\nHello!",
        "<inner_monologue>hm</inner_monologue>Hello!",
        '<details type="reasoning" done="true">hm</details>\nHello!',
        "<think> can it be? </think>Hello!",
        "<|think|>hm<|/think|>Hello!",
        "<|thinking_start|>hm<|thinking_end|>Hello!",
        "<|begin_of_thinking|>hm<|end_of_thinking|>Hello!",
        "<|start_thinking|>hm<|end_thinking|>Hello!",
        "<｜begin▁of▁thinking｜>hm<｜end▁of▁thinking｜>Hello!",
        "<unused94>thought\nhm<unused95>Hello!",
        "analysisJust greet.assistantfinalHello!",
        "analysis사용자가 인사합니다.assistantfinalHello!",
        "[THINK]hm[/THINK]Hello!",
        "◁think▷hm◁/think▷Hello!",
        "<|begin_of_thought|>hm<|end_of_thought|>\n<|begin_of_solution|>Hello!<|end_of_solution|>",
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Hello!<|END_RESPONSE|>",
        "<|channel>thought\nhm<channel|>Hello!<turn|>",
        "<|inner_prefix|>hm<|inner_suffix|>Hello!",
        KIMI_K3,
        INKLING,
        "<|think|>hm<|end|><|begin|>assistant<|content|>Hello!<|end|>",
        HARMONY,
        f"<|start|>assistant{HARMONY}",
        HARMONY.removesuffix("<|return|>"),
        HARMONY.removesuffix("<|return|>") + "<|end|>\n",
        HARMONY.removeprefix("<|channel|>"),
        HARMONY.replace("analysis", "analysis to=browser.search code"),
        HARMONY.replace("final", "final <|constrain|>text"),
        "<|channel|>analysis<|message|>hm<|end|>Hello!",
        "<|channel|>final<|message|>Hello!<|return|>",
        "<|channel|>final <|constrain|>text<|message|>Hello!<|return|>",
        "analysisWe greet back.assistantfinalHello!",
        "analysisThe user greets.assistantcommentaryOne moment.assistantfinalHello!",
        "analysis\nWe greet back.\nassistantfinalHello!",
        "commentary to=functions.greet json{}assistantanalysisHm.assistantfinalHello!",
        "assistantfinalHello!",
    ],
)
def test_reasoning_in_any_marks_is_left_out(said: str) -> None:
    """The marks of the models in use, of which a server may strip some."""
    assert shown(said) == "Hello!"
    assert shown(*said) == "Hello!", "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        "<thinking>cut",
        "<thought>\nThe user",
        "[THINK]cut",
        "◁think▷",
        "<think>",
        "<|START_THINKING|>cut",
        "<|channel|>analysis<|message|>We need",
        "<|channel|>analysis<|message|>We need<|end|><|start|>assistant<|channel|>comment",
        "<|channel|>commentary<|message|>We search.<|end|>",
        "<|channel|>final<|message|><|return|>",
        "analysisWe need to",
    ],
)
def test_reasoning_without_an_answer_is_left_out(said: str) -> None:
    assert shown(said) == ""
    assert shown(*said) == "", "cut everywhere"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("hm.<|END_THINKING|><|START_RESPONSE|>yes<|END_RESPONSE|>", "yes"),
        ("hm\n<|end_of_thought|>\nyes", "yes"),
        ("hm.<|end|><|start|>assistant<|channel|>final<|message|>yes<|return|>", "yes"),
        ("hm.<|channel|>final<|message|>yes", "yes"),
        ("hm<channel|>yes", "yes"),
        ("hm\n</mm:think>\nyes", "yes"),
        ("hm\n</seed:think>\n\nyes", "yes"),
        ("hm</thinking>\nyes", "yes"),
        (f"{HARMONY.removesuffix('<|return|>')}<|end|><|start|>assistant{HARMONY}", "Hello!Hello!"),
    ],
)
def test_a_late_mark_makes_the_text_before_reasoning(said: str, answer: str) -> None:
    assert shown(said) == answer
    assert shown(*said) == answer, "cut everywhere"


@pytest.mark.parametrize(
    "said",
    [
        "The `<thinking>` tag holds thoughts.",
        "Write <thought>…</thought> around it.",
        "<thinking> and </thinking> are tags.",
        "<think> is the tag that models use.",
        "<think>…</think> frames thoughts.",
        "<thinking>는 생각을 담는 태그입니다.",
        "<reflection>, <reasoning> and others are tags.",
        "[THINK] marks the beginning of thoughts.",
        "`[THINK]` marks the beginning.",
        "```\n<thinking>hm</thinking>\n```",
        "As here: ```xml\n<think>\nhm\n</think>\nanswer\n```\nSo it is.",
        "- In `x`: ```\n  <think>hm</think>\n  ```",
        "```\n<|channel|>analysis<|message|>hm<|end|>\n```",
        "Use this:\n\n<thinking>\nthoughts\n</thinking>\n<answer>\nanswer\n</answer>",
        "gpt-oss writes <|channel|>analysis<|message|>, then <|channel|>final<|message|>.",
        "Cohere ends thoughts by <|END_THINKING|>. So it is.",
        'It begins with "<|start|>assistant<|channel|>final<|message|>", then the answer.',
        "In `x<|channel|>final<|message|>y` the answer is y.",
        "analysis of the data",
        "analysis: done",
        "analysis",
        "analysis는 분석입니다",
        "analysisResult is a variable.",
        "analysisMode, when set, does this.",
        "commentaryTrack: its name",
        "analysis\nThe data show a trend.",
        "commentary\n\nThe game began well.",
        "<think> closes nothing.",
        "<think> bezeichnet den Anfang.",
        "<think> — the tag of thoughts",
        "<think>? It is a tag.",
        "<think>/</think> are tags",
        "<think>에 대해 설명합니다.",
        "<thinking>タグは考えを囲みます",
        "The end tag is </think>\nIt ends thoughts.",
        "So:\n\n    </think>\n\nends it.",
        "> </think>\n> ends it",
        "- </think>\n- more",
        "commentary follows",
        "assistant, final",
        "final answer",
        "<answer>42</answer>",
        "<b>bold</b>",
        "<output>",
        "[TH",
        "<|channel|>final is the channel of answers.",
        "<|im_end|> ends a turn.",
        "It ends with <|return|>",
        "# <thinking>",
    ],
)
def test_marks_that_an_answer_is_about_stay(said: str) -> None:
    assert shown(said) == said
    assert shown(*said) == said, "cut everywhere"


def test_words_that_may_be_reasoning_are_released() -> None:
    """Even if the answer begins like reasoning, and goes on for long."""
    said = f"analysisResult is {LONG}"
    assert shown(said) == said
    reasoning = ReasoningFilter()
    assert reasoning.write("analysisResult is ") == ""
    assert reasoning.write(LONG) == said
    assert reasoning.write("more") == "more"


def test_end_marks_that_an_answer_is_about_stay() -> None:
    """Even if the answer itself came in such marks."""
    for answer in ("Use `<|end|>` here.", "<|end|> ends a message.", "```\n<|return|>\n```"):
        said = (
            f"<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>{answer}<|return|>"
        )
        assert shown(said) == answer
        assert shown(*said) == answer, "cut everywhere"


def test_it_reasons_while_the_marks_are_open() -> None:
    """So that the time of the reasoning is known."""
    reasoning = ReasoningFilter()
    reasons = []
    for piece in ("<|channel|>analysis", "<|message|>hm", "<|end|><|start|>assistant", "yes"):
        reasoning.write(piece)
        reasons.append(reasoning.reasons)
    assert reasons == [False, True, True, True]  # The first piece may be the subject of a sentence.
    assert reasoning.write("<|channel|>final<|message|>yes") == "yes"
    assert not reasoning.reasons


@given(TEXTS, st.data())
def test_how_the_text_is_cut_does_not_matter(said: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(said)))
    assert shown(said[:cut], said[cut:]) == shown(*said) == shown(said)


def test_an_answer_is_passed_on_at_once() -> None:
    """Each piece of an answer comes out as it goes in: people see it at once."""
    reasoning = ReasoningFilter()
    assert [reasoning.write(piece) for piece in ("<think>a</think>", "b", " ", "<think>")] == [
        "",
        "b",
        " ",
        "<think>",
    ]
    assert reasoning.end() == ""


def test_endless_blanks_are_not_buffered() -> None:
    """The last thousand are, so that an answer may be indented."""
    reasoning = ReasoningFilter()
    began = time.process_time()
    assert not any(reasoning.write("  ") for _ in range(200_000))
    assert reasoning.write("<think>hm</think>") == ""
    assert reasoning.write("yes") == "yes"
    assert time.process_time() - began < 10
    assert len(shown(*["  "] * 5000)) == 1000
