"""Finish reasons in the words of many servers."""

import pytest

from bot.llm.finish_reasons import End, end_of, loggable

WORDS = {
    End.WHOLE: (
        *("stop", "STOP", "end_turn", "endTurn", "stop_sequence", "STOP_SEQUENCE", "eos"),
        *("eos_token", "eosFound", "stopStringFound", "COMPLETE", "FINISH_REASON_STOP", "stopped"),
        *(
            "FinishReason.STOP",
            "REASON_STOP",
            "STOP_CRITERIA_MET",
            "FINISH",
            "normal",
            "<|eot_id|>",
        ),
        *("endoftext", "tool_calls", "tool_use", "toolUse", "TOOL_CALL", "function_call", "done"),
        *("<|im_end|>", "completed", "finished", "success", "stop_token"),
    ),
    End.AT_LIMIT: (
        *("length", "MAX_TOKENS", "max_tokens", "maxTokens", "model_length", "token_limit"),
        *("model_context_window_exceeded", "ERROR_LIMIT", "max_output_tokens", "REASON_MAX_LEN"),
        *("maxPredictedTokensReached", "contextLengthReached", "REASON_MAX_CONTEXT", "LENGTH"),
        "FINISH_REASON_MAX_TOKENS",
    ),
    End.WITHHELD: (
        *("content_filter", "content_filtered", "CONTENT_FILTERED", "SAFETY", "IMAGE_SAFETY"),
        *("refusal", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "sensitive"),
        *("ERROR_TOXIC", "guardrail_intervened", "MODEL_ARMOR", "IMAGE_PROHIBITED_CONTENT"),
    ),
    End.CUT: (
        *("error", "ERROR", "abort", "aborted", "cancelled", "USER_CANCEL", "network_error"),
        *("insufficient_system_resource", "timeout", "TIMEOUT", "time_limit", "userStopped"),
        *("REASON_TIME_LIMIT", "failed"),
    ),
    End.UNKNOWN: (
        *("OTHER", "LANGUAGE", "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "repetition"),
        *("malformed_model_output", "MISSING_THOUGHT_SIGNATURE", "pause_turn", "compaction"),
        *("NO_IMAGE", "IMAGE_OTHER", "TOO_MANY_TOOL_CALLS", "unload", "unfinished", "?", "끝"),
    ),
}


@pytest.mark.parametrize(("reason", "end"), [(word, end) for end in WORDS for word in WORDS[end]])
def test_a_reason_says_how_the_answer_ended(reason: str, end: End) -> None:
    assert end_of(reason) is end


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("eos", "eos"),
        ("FinishReason.OTHER", "FinishReason.OTHER"),
        ("SECRET words", "a reason of its own"),
        ("x" * 41, "a reason of its own"),
        (None, "no reason"),
    ],
)
def test_the_log_names_a_reason_only_if_it_is_a_word(reason: str | None, shown: str) -> None:
    assert loggable(reason) == shown
