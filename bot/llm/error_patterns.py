"""The codes, words and statuses by which chat APIs say what went wrong.

Compatible servers use words of their own. A code says more than the words, and these say more than
the status: see `llm/api_errors.py`.
"""

import re
from collections.abc import Mapping
from typing import Final

from bot.errors import (
    ContentFiltered,
    ModelAccessDenied,
    ModelBusy,
    ModelContextExceeded,
    ModelError,
    ModelFailed,
    ModelKeyRefused,
    ModelQuotaExceeded,
    ModelRequestRefused,
    ModelTimeout,
    ModelUnknown,
    ModelUnreachable,
)

# In codes and types, written in lower case with underscores
ERRORS_BY_CODE: Final = {
    r"insufficient_(\w+_)?(quota|balance|credit|fund)|billing|budget_exceeded|arrear|overdue"
    r"|payment_required|consume_token_quota|free_tier_only": ModelQuotaExceeded,
    r"context_length_exceeded|exceed_context_size|string_above_max_length|tokens_limit_reached"
    r"|context_window_exceeded": ModelContextExceeded,
    r"content_filter|content_policy|data_inspection|prohibited_content|content_violation"
    r"|sensitive_content|responsible_ai|moderation": ContentFiltered,
    r"model_not_(found|available|supported|exist)|(invalid|unknown|unsupported)_model"
    r"|model_(access_denied|decommissioned|deprecated)|deployment_not_found": ModelUnknown,
    r"(invalid|expired|incorrect|missing)_api_key|api_key_(invalid|expired|not_found|missing)"
    r"|authentication|auth_error|unauthori[sz]ed|expired_key|(invalid|expired)_token"
    r"|token_not_found|no_db_connection": ModelKeyRefused,
    r"unsupported_country|missing_scope|ip_not_authori[sz]ed|account_deactivated"
    r"|organization_(restricted|disabled)": ModelAccessDenied,
}
LIMITED_CODE: Final = re.compile(
    r"rate_?limit|overload|too_?many_?requests|throttl|resource_?exhausted|server_busy|capacity"
)
# The status that an error within a stream stands for, by its codes or else by its words
STATUSES_BY_CODE: Final = {
    LIMITED_CODE: 429,
    re.compile("unavailable|busy"): 503,
    re.compile("time_?out|timed_?out|deadline_?exceeded"): 408,
    re.compile("permission|forbidden|access_?denied"): 403,
    re.compile("not_?found"): 404,
    re.compile("invalid_?(request|argument|param|prompt|type|value)|bad_?request|validation"): 400,
}
STATUSES_BY_MESSAGE: Final = {
    re.compile(
        r"overloaded|\b(at|over|no|exceed\w*|insufficient)\b.{0,20} capacity|capacity limit"
        r"|(temporarily|currently|service|server|model) (is )?(temporarily |currently )*"
        r"(unavailable|busy)|high (demand|load)",
        re.IGNORECASE,
    ): 503,
    re.compile(
        r"too many (concurrent )?requests|rate[- ]?limit|request limit reached|throttl",
        re.IGNORECASE,
    ): 429,
    re.compile(r"\b(timed? ?out|deadline exceeded)\b", re.IGNORECASE): 408,
}
# OpenAI, Anthropic, Gemini and vLLM; OpenRouter puts some of these into its metadata.
CODE_FIELDS: Final = (
    *("code", "type", "status", "status_code", "statusCode", "http_code", "error_type", "reason"),
)
# Groq, OpenAI and Anthropic: one request has more tokens than a minute allows, or more bytes than a
# request may have. Waiting does not help, even if the code is that of a rate limit.
TOO_LARGE: Final = re.compile(r"request (body )?too large|request_too_large", re.IGNORECASE)
_NEAR: Final = r"(?:[^.]|\.(?!\s)){0,80}"  # within a sentence; names of models have dots
_KEY: Final = (
    r"((api|virtual|subscription)[ _-]?key|access[ _-]?token|bearer|credentials?|authorization"
    r"|auth\w* (token|header|key))"
)
_WRONG: Final = (
    r"(invalid|incorrect|wrong|expired|missing|malformed|unknown|revoked|leaked|disabled|deleted"
    r"|not valid|not found|not exist|not provided|required|expected|blocked|suspended|inactive)"
)
_CREDIT_WORDS: Final = (
    r"insufficient[ _](credit|balance|fund)|insufficient_quota"
    r"|(balance|credits?|funds|token quota) ((is|are|has been|have been) )?"
    r"(too low|insufficient|not enough|depleted|exhausted|used up)|free tier\b.{0,30}\bexhausted"
    r"|out of credits|budget has been exceeded|over budget|exceeded\w*budget"
    r"|any credits|used all\b.{0,20}\bcredits|spending limit|monthly included credits"
    r"|key limit exceeded(?!.{0,20}(daily|weekly|monthly))|余额不足|欠费|额度(已用尽|不足)"
    r"|잔액이? 부족|크레딧이? 부족"
)
_MODEL_WORDS: Final = (
    rf"model\b{_NEAR}\b(not (exist|found|loaded|a valid|available)|decommissioned"
    r"|no longer (available|supported))|not a valid model"
    r"|\b(invalid|unknown|no such|unrecogni[sz]ed|unsupported) model\b"
    r"|model \S{1,100} is (not supported|unsupported)\b|model identifier is invalid"
    r"|model( \S{1,100})? (is|has been) (deprecated|retired|removed)|model is unavailable"
    r"|supported (API )?models? (names )?are\b.{0,200}\bpassed|on-demand throughput"
    r"|(could not|cannot|can't|unable to) find\b.{0,20}\bmodel"
    r"|requested model\b.{0,80}\bnot supported|pinned to .{0,200}requested"
    r"|(not allowed to access|access to) (the )?model|unable to access\b.{0,30}\bmodel"
    r"|no (endpoints found for|models? (are |is )?(currently )?loaded)|LLM provider not provided"
    r"|no 'model_name' with"
    r"|模型不存在|(不支持|无权使用|找不到|未找到)(该|此)?模型|模型不可用"
)
# Words decide what an error means before its status does; NOT_IN_WORDS has the exceptions.
# LiteLLM puts other servers' words, and the names of its own errors, into the message.
ERRORS_BY_MESSAGE: Final = {
    _CREDIT_WORDS: ModelQuotaExceeded,
    _MODEL_WORDS: ModelUnknown,
    rf"\b{_KEY}\b{_NEAR}\b{_WRONG}\b|\b{_WRONG}\b (\w+ ){{0,3}}{_KEY}\b|unregistered callers"
    r"|no api key\b|(pass|provide|use|supply|enter) a valid\b.{0,20}\bkey"
    r"|authentication ?(error|fail)|unauthenticated|no connected db"
    r"|无效的?(令牌|密钥)|(令牌|密钥|api ?key).{0,4}(无效|过期|错误|不存在)": ModelKeyRefused,
    r"content ?policy ?violation|content (management|filtering|safety) policy|content filter\w*"
    r"|inappropriate content|content exists risk|considered high risk|sensitive (content|words)"
    r"|violat\w+\b.{0,40}(usage guidelines|polic|responsible ai)|potentially violating"
    r"|(our|the) safety system|(prohibited|blocked)[ _]content|content (was |is )?blocked"
    r"|(input|prompt|content|request|message)s?\b.{0,40}\bflagged(?! as duplicate)"
    r"|guardrail\w*\b.{0,40}\b(block|violat|interven|trigger|reject|den)"
    r"|(block|violat|interven|trigger|reject|den)\w*\b.{0,40}\bguardrail|敏感"
    r"|不安全": ContentFiltered,
    r"(location|country|region|territory)\b.{0,60}\bnot (supported|available|allowed)"
    r"|not (supported|available) in (your|this) (country|region|location)"
    r"|insufficient permissions?|missing scopes?"
    r"|\b(organization|account|project|workspace)\b.{0,60}\b(is|was|been) "
    r"(disabled|deactivated|suspended|banned|terminated)\b": ModelAccessDenied,
}
# The server has no endpoint at the path: LM Studio, with status 200; Express, OpenAI and others.
NO_ENDPOINT: Final = re.compile(
    r"unexpected endpoint|could not route to"
    r"|(invalid|unknown|unrecognized) (request )?url:? ?\(?(get|post)"
    r"|(unknown|unrecognized|unsupported) (route|method)\b|cannot (get|post) /"
    r"|no (such |matching )?route\b|no (such |matching )?endpoint (found )?for (get|post|/)"
    r"|route\b.{0,60}\bnot found|page not found",
    re.IGNORECASE,
)
OF_A_PATH: Final = frozenset({404, 405})  # These mean an unknown path or an unknown model.
# With these statuses, words count only if they are about credit.
NOT_IN_WORDS: Final = frozenset({429, 502, 503, 529})
# OpenAI says this of an account without credit, Gemini also of its rate limit for a minute.
OF_A_QUOTA: Final = re.compile(
    r"exceeded[ _](your[ _])?current[ _](token[ _])?quota|insufficient quota", re.IGNORECASE
)
USED_UP: Final = re.compile(
    r"exceed|reach|used|exhaust|deplet|too many|超|达|초과|소진", re.IGNORECASE
)
# DashScope: too many tokens in a minute, under the code of an account without credit. LiteLLM, with
# status 400: each server of a model failed just now.
PASSES: Final = re.compile(r"allocated quota exceeded|no healthy deployment", re.IGNORECASE)
CODE_BREAK: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|[ .-]+")
# In the words of OpenAI, vLLM, llama.cpp, DeepSeek, Together; Anthropic, Bedrock; Cohere;
# LM Studio; xAI, Gemini, OpenAI, Moonshot, DashScope; text-generation-inference; Mistral; Groq.
TOO_LONG: Final = re.compile(
    r"context (length|window|size|limit)|ContextWindowExceeded"
    r"|(prompt|input|request|message) is too long|prompt too long"
    r"|too many (input )?tokens|n_ctx\b|initial prompt is greater|maximum context"
    r"|(maximum|exceed\w*|range of|configured).{0,40}"
    r"(prompt|input|token|tokens|sequence) (length|limit|allowed)"
    r"|(prompt|input|sequence) length.{0,40}(exceed|greater|longer)"
    r"|exceed\w* max(imum)? (length|message tokens)"
    r"|token count.{0,40}(exceed|supports up to)|longer than the (maximum )?model"
    r"|input tokens exceed|exceed\w*.{0,20}model token limit"
    r"|inputs?\W{1,3}tokens.{0,20}max_new_tokens|inputs?\W{1,3}must have less than"
    r"|too large for model|reduce the (length|size) of (the|your) (messages|prompt|input)"
    r"|number of tokens in the prompt|prompt\W{0,3}超长",
    re.IGNORECASE,
)
# Rate limits and quotas use similar words; waiting or paying helps against those.
OF_A_TIME: Final = re.compile(
    r"per[ -](min|minute|hour|day|month)\b|daily|monthly|quota|rate[ _-]?limit|\b[TR]P[MD]\b"
    r"|(try again|retry|wait) (in|before|for)\b|(try again|retry) after \d|please wait",
    re.IGNORECASE,
)
# These are about the account or its quota, not about the length.
OF_THE_ACCOUNT: Final = frozenset({401, 402, 403})
NOT_OF_THE_REQUEST: Final = frozenset({*OF_THE_ACCOUNT, 429})
MAY_BE_LIMITED: Final = frozenset({0, 400, 403, 429})
LIMITED_STATUS: Final = 429
TOO_LARGE_STATUS: Final = 413
# These may be about the request, in words that no pattern knows; 0 is an error within a stream.
MAY_BE_OF_THE_REQUEST: Final = frozenset({0, 400, 413, 422, 500})
# The templates of Gemma, Mistral and MiniMax each use different words. The last two patterns can
# mean nothing else, because users and assistants alternate in every prompt of this program.
NO_SYSTEM_ROLE: Final = re.compile(
    r"(system|developer)\W{0,3}(role|message|prompt|instruction)s?\b.{0,60}"
    r"(not |n't |unsupported|unexpected|invalid|disabled)"
    r"|(not |n't |unsupported|unexpected|unknown|invalid|only).{0,60}"
    r"(system|developer)\W{0,3}(role|message|prompt|instruction)"
    r"|(not |n't |unsupported|unexpected|unknown|invalid).{0,40}role\b.{0,20}"
    r"\b(system|developer)\b"
    r"|\brole\b.{0,30}(not |n't |unsupported|unexpected|unknown|invalid).{0,30}"
    r"\b(system|developer)\b"
    r"|\brole\W{1,3}(system|developer)\b.{0,40}(not |n't |unsupported|invalid)"
    r"|only user\b.{0,30}\broles are supported|role.{0,30}\buser\W{1,3}(or|and)\W{1,3}assistant"
    r"|roles must alternate",
    re.IGNORECASE,
)
ERRORS_BY_STATUS: Final[Mapping[int, type[ModelError]]] = {
    401: ModelKeyRefused,
    402: ModelQuotaExceeded,
    403: ModelAccessDenied,
    404: ModelUnknown,
    405: ModelUnknown,  # The address is not that of a chat API.
    407: ModelAccessDenied,
    408: ModelTimeout,
    409: ModelBusy,
    410: ModelUnknown,
    413: ModelContextExceeded,
    420: ModelBusy,
    423: ModelBusy,
    424: ModelFailed,  # text-generation-inference: the generation failed
    425: ModelBusy,
    429: ModelBusy,
    451: ModelAccessDenied,
    498: ModelBusy,  # Groq: the capacity of its flex tier is used up
    501: ModelRequestRefused,
    503: ModelBusy,
    504: ModelTimeout,
    505: ModelRequestRefused,
    **dict.fromkeys((521, 522, 523, 525, 526, 530), ModelUnreachable),  # Cloudflare
    524: ModelTimeout,  # Cloudflare
    529: ModelBusy,
    598: ModelTimeout,
    599: ModelTimeout,
}
# The server, or a proxy in front of it, stopped waiting. The next attempt may be faster.
TRANSIENT_TIMEOUTS: Final = frozenset({408, 504, 524, 598, 599})
# For requests with images: an error is about these, or the model takes no images at all. In the
# words of OpenAI, OpenRouter, Ollama, llama.cpp, vLLM, LM Studio, Mistral, DeepSeek and Groq.
OF_IMAGES: Final = re.compile(r"image|vision|multi-?modal|mmproj", re.IGNORECASE)
NO_IMAGES: Final = re.compile(
    r"at most 0 image|not a (multi-?modal|vision)|missing data required for image"
    r"|(image(?! (format|size|type))|vision|multi-?modal).{0,40}\b(not|only) (support|enabl)"
    r"|(not|n't|that) support.{0,40}\b(image|vision|multi-?modal)"
    r"|unknown variant `image_url",
    re.IGNORECASE,
)
TEXT_ALONE: Final = re.compile(r"content\W{0,3} (value )?must be a string", re.IGNORECASE)
