"""Everything that people read, in Korean."""

from typing import Final

from bot.i18n.sentences import Sentences


class Korean(Sentences):
    """What people read in Korean."""

    hint_no_question = (
        "안녕하세요! 무엇이 궁금하세요? 저를 멘션한 메시지에 질문을 함께 적어 주세요."
    )
    hint_text_only = "안녕하세요! 저는 글만 읽을 수 있어요. 질문을 글로 적어 주세요."
    hint_voice = "음성 메시지는 들을 수 없어요. 질문을 글로 적어 주세요."
    hint_nothing_readable = (
        "안녕하세요! 저는 글과 텍스트 파일, 이미지를 읽을 수 있는데 이 메시지에는 아무것도 없네요. "
        "질문을 글로 적어 주세요."
    )
    hint_needs_mention = (
        "여기서는 저를 멘션한 메시지만 읽을 수 있어요. 메시지에서 저를 멘션하거나, 관리자에게 "
        "Message Content Intent를 켜 달라고 부탁해 주세요."
    )
    queue_full = "여기에는 이미 기다리는 질문이 너무 많아요. 답변이 끝나면 다시 물어봐 주세요."
    rate_limited = (
        "제가 답할 수 있는 것보다 빠르게 질문하고 있어요(1분에 {limit}개까지). 이 질문은 "
        "건너뛰었으니 1분 뒤에 다시 물어봐 주세요."
    )
    budget_person_day = "오늘 한 사람이 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_person_month = "이번 달에 한 사람이 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_server_day = "오늘 이 서버가 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_server_month = "이번 달에 이 서버가 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_bot_day = "오늘 제가 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_bot_month = "이번 달에 제가 쓸 수 있는 양을 다 썼어요. {when}에 다시 시작해요."
    budget_nothing = "이 봇의 운영자가 여기에 쓸 예산을 0으로 정해서 답할 수 없어요."
    memory_unreadable = "지금은 저장된 대화를 읽을 수 없어요. 1분 뒤에 다시 시도해 주세요."
    memory_unwritable = "지금은 기억을 저장할 수 없어서 이 대화는 기억하지 못해요."
    file_not_text = "{name} 파일은 읽지 않았어요. 제가 읽을 수 있는 텍스트가 없어요."
    files_off = "{name} 파일은 읽지 않았어요. 저는 파일을 읽지 않도록 설정되어 있어요."
    file_too_large = "{name} 파일은 읽지 않았어요. {limit:g} MB보다 커요."
    file_unreachable = "Discord에서 {name} 파일을 내려받지 못했어요. 다시 보내 주세요."
    file_cut = "{name} 파일은 처음 {characters:,}자만 읽었어요. 나머지는 다 읽기에 너무 길어요."
    pdfs_off = "{name} 파일은 읽지 않았어요. 저는 PDF를 읽도록 설정되어 있지 않아요."
    pdf_locked = "{name} 파일은 읽지 않았어요. 비밀번호로 보호되어 있어요."
    pdf_damaged = "{name} 파일은 읽지 않았어요. PDF가 손상되었어요."
    pdf_without_text = (
        "{name} 파일은 읽지 않았어요. 모든 페이지가 이미지라서 읽을 수 있는 텍스트가 없어요."
    )
    pdf_too_complex = "{name} 파일은 읽지 않았어요. 읽는 데 시간이나 메모리가 너무 많이 필요해요."
    pdf_cut = "{name} 파일은 앞부분만 읽었어요({pages}페이지)."
    pictures_off = "{name} 이미지는 보지 않았어요. 저는 이미지를 보지 않도록 설정되어 있어요."
    picture_unsupported = (
        "{name} 이미지는 보지 않았어요. PNG, JPEG, GIF, WebP 이미지만 볼 수 있어요."
    )
    picture_left_out = "{name} 이미지는 보지 않았어요. 이미지를 더 넣을 자리가 없어요."
    pictures_unreachable = "Discord에서 일부 이미지를 내려받지 못했어요. 다시 보내 주세요."
    pictures_busy = (
        "이미지는 보지 않았어요. 지금 AI 모델로 보내는 이미지가 너무 많아요. 1분 뒤에 다시 물어봐 "
        "주세요."
    )
    pictures_refused = "AI 서비스가 이미지를 받지 않아서 이미지 없이 답했어요."
    files_shortened = "파일이 한 번에 읽을 수 있는 것보다 길어서 앞의 {percent}%만 읽었어요."
    question_shortened = (
        "질문이 한 번에 읽을 수 있는 것보다 길어서 앞의 {percent}%만 읽었어요. 나머지는 따로 "
        "물어봐 주세요."
    )
    secret_in_message = (
        "모델에 묻기 전에 비밀 정보로 보이는 것을 지웠어요: {secrets}. 메시지를 삭제하고 새로 "
        "발급받아 주세요."
    )
    secrets_in_message = (
        "모델에 묻기 전에 비밀 정보로 보이는 것들을 지웠어요: {secrets}. 메시지를 삭제하고 모두 "
        "새로 발급받아 주세요."
    )
    secret_in_command = (
        "모델에 묻기 전에 비밀 정보로 보이는 것을 지웠어요: {secrets}. Discord에는 남아 있으니 "
        "새로 발급받아 주세요."
    )
    secrets_in_command = (
        "모델에 묻기 전에 비밀 정보로 보이는 것들을 지웠어요: {secrets}. Discord에는 남아 있으니 "
        "모두 새로 발급받아 주세요."
    )
    secret_in_quote = (
        "질문이 가리키는 메시지에서 비밀 정보로 보이는 것을 지웠어요: {secrets}. 쓴 사람이 그 "
        "메시지를 삭제하고 새로 발급받아야 해요."
    )
    budget_nearly_day = (
        "오늘 한 사람이 쓸 수 있는 양의 {percent}%를 썼어요. {when}에 다시 시작해요."
    )
    budget_nearly_month = (
        "이번 달에 한 사람이 쓸 수 있는 양의 {percent}%를 썼어요. {when}에 다시 시작해요."
    )
    stopped = "요청하신 대로 여기서 멈췄어요."
    stopped_by_reset = "이 대화가 초기화되어 멈췄어요."
    interrupted = "다시 시작해야 해요. 돌아오는 대로 이 답변을 이어 갈게요."
    interrupted_too_often = "여러 번 중단되어 이 답변을 끝내지 못했어요. 다시 물어봐 주세요."
    too_late = "너무 오래 자리를 비워서 제때 답하지 못했어요. 다시 물어봐 주세요."
    model_key_refused = (
        "AI 서비스가 제 키를 거부했어요. 관리자에게 API 키를 바꿔야 한다고 알려 주세요."
    )
    model_access_denied = (
        "AI 서비스가 접근을 거부했어요. 키의 권한이나 계정, 지역 때문일 수 있어요. 관리자에게 알려 "
        "주세요. 이유는 로그에 있어요."
    )
    model_quota_exceeded = (
        "AI 서비스의 크레딧이 다 떨어졌어요. 관리자에게 계정에 크레딧을 충전해야 제가 답할 수 "
        "있다고 알려 주세요."
    )
    model_unknown = (
        "AI 서비스가 제게 설정된 모델을 알지 못해요. 관리자에게 /모델(/model)로 다른 모델을 "
        "고르거나 OPENAI_MODEL과 OPENAI_BASE_URL을 확인해 달라고 부탁해 주세요."
    )
    model_address_wrong = (
        "설정된 주소에 AI 서비스가 없어요. 관리자에게 OPENAI_BASE_URL을 고쳐 달라고 부탁해 "
        "주세요. 주소는 보통 v1로 끝나요."
    )
    model_busy = "지금은 AI 서비스가 너무 바빠요. 1분 뒤에 다시 시도해 주세요."
    model_rate_limited_until = (
        "지금은 AI 서비스가 제 요청을 더 받지 않아요. {when} 이후에 다시 물어봐 주세요."
    )
    model_rate_limited = (
        "AI 서비스에서 제게 주어진 사용량을 다 썼어요. 언제 다시 쓸 수 있는지는 서비스가 알려 주지 "
        "않으니, 몇 시간 뒤나 내일 다시 물어봐 주세요. 어떤 한도인지는 관리자가 로그에서 볼 수 "
        "있어요."
    )
    model_unreachable = "지금은 AI 서비스에 연결할 수 없어요. 1분 뒤에 다시 시도해 주세요."
    model_timeout = "AI 서비스의 응답이 너무 늦어요. 1분 뒤에 다시 시도해 주세요."
    model_context_exceeded = (
        "이 대화는 AI 모델이 다루기에 너무 길어요. 질문을 짧게 줄이거나 /초기화(/reset)로 새로 "
        "시작해 보세요. 서버에서는 서버 관리자만 초기화할 수 있어요. 계속 이러면 관리자에게 "
        "CONTEXT_TOKENS를 낮춰야 한다고 알려 주세요."
    )
    model_context_asked = (
        "이 대화는 AI 모델이 다루기에 너무 길어요. 질문을 짧게 줄여 보세요. 계속 이러면 관리자에게 "
        "CONTEXT_TOKENS를 낮춰야 한다고 알려 주세요."
    )
    model_reply_too_long = (
        "AI 모델이 허용하는 것보다 긴 답변을 요청했어요. 관리자에게 REPLY_TOKENS를 낮춰야 한다고 "
        "알려 주세요."
    )
    model_request_refused = (
        "AI 서비스가 제 요청을 받아들이지 않았어요. 관리자에게 알려 주세요. 이유는 로그에 있어요."
    )
    model_images_unsupported = "AI 모델이 이미지를 볼 수 없어요. 이미지는 빼고 답할게요."
    model_content_filtered = (
        "AI 서비스가 콘텐츠 규정 때문에 답변을 보류했어요. 표현을 바꿔서 물어보면 될 수도 있어요."
    )
    question_withheld = (
        "유해성 검사 서비스가 이 질문을 문제가 있다고 판단해서 답변을 보류하고, 질문과 답변을 "
        "지웠어요. 표현을 바꿔서 물어봐 주세요."
    )
    withheld_title = "보류된 질문"
    question_unchecked = (
        "질문을 검사하는 서비스가 작동하지 않아서 지금은 답할 수 없어요. "
        "잠시 후에 다시 물어봐 주세요."
    )
    model_empty = "AI 서비스가 빈 답변을 보냈어요. 표현을 바꿔서 다시 물어봐 주세요."
    model_output_truncated = (
        "답변이 길이 제한에 닿아 여기서 끝나요. 이어 쓰기를 누르거나 계속해 달라고 말해 주세요."
    )
    model_output_truncated_plain = (
        "답변이 길이 제한에 닿아 여기서 끝나요. 계속해 달라고 말해 주세요."
    )
    model_thought_only = (
        "AI 모델이 길이 제한에 닿을 때까지 생각만 해서 답변이 없어요. 더 간단하게 물어보시고, "
        "관리자에게 이 모델은 REPLY_TOKENS를 더 높여야 한다고 알려 주세요."
    )
    model_thought_filled_window = (
        "AI 모델이 컨텍스트 창이 가득 찰 때까지 생각만 해서 답변이 없어요. 질문을 더 짧게 줄여 "
        "보세요. 관리자에게는 CONTEXT_TOKENS를 낮추거나 컨텍스트 창이 더 큰 모델을 써야 한다고 "
        "알려 주세요."
    )
    model_cut = (
        "연결이 끊겨 답변이 여기서 잘렸어요. 이어 쓰기를 누르거나 계속해 달라고 말해 주세요."
    )
    model_cut_plain = "연결이 끊겨 답변이 여기서 잘렸어요. 계속해 달라고 말해 주세요."
    model_unfinished = (
        "AI 서비스가 이 답변을 끝맺지 못했어요. 1분 뒤에 이어 쓰기를 누르거나 계속해 달라고 말해 "
        "주세요."
    )
    model_unfinished_plain = (
        "AI 서비스가 이 답변을 끝맺지 못했어요. 1분 뒤에 계속해 달라고 말해 주세요."
    )
    model_stopped = (
        "AI 서비스가 이유를 알리지 않고 답변을 여기서 끝냈어요. 뒷부분이 빠졌을 수 있으니 "
        "이어 쓰기를 누르거나 계속해 달라고 말해 주세요."
    )
    model_stopped_plain = (
        "AI 서비스가 이유를 알리지 않고 답변을 여기서 끝냈어요. 뒷부분이 빠졌을 수 있으니 "
        "계속해 달라고 말해 주세요."
    )
    model_failed = "AI 서비스에 문제가 생겼어요. 1분 뒤에 다시 시도해 주세요."
    model_empty_body = (
        "AI 서비스가 아무것도 보내지 않았어요. 대화가 너무 길면 그러는 서비스도 있어요. 질문을 "
        "짧게 줄여 보세요. 계속 이러면 관리자에게 CONTEXT_TOKENS를 낮춰야 할 수도 있다고 알려 "
        "주세요."
    )
    answer_failed = "제 쪽에서 문제가 생겼어요. 다시 시도해 주세요. 자세한 내용은 로그에 있어요."
    ask_name = "질문"
    ask_description = "저에게 질문하세요. 제가 메시지를 읽을 수 없는 곳에서도 답해요"
    ask_question_option_name = "질문"
    ask_question_option = "궁금한 것"
    ask_private_option_name = "나만보기"
    ask_private_option = "답변을 나만 볼지(기본) 여기 있는 모두가 볼지"
    ask_about_menu = "이 메시지에 대해 묻기"
    ask_modal_title = "이 메시지에 대해 묻기"
    ask_modal_label = "질문 (비워 두어도 돼요)"
    pasted_question = "질문"
    ask_nothing_to_read = "이 메시지에는 제가 읽을 수 있는 글이 없어요."
    ask_about_lost = (
        "어느 메시지에 대한 질문인지 알 수 없게 되었어요. 제가 다시 시작했거나, 메시지가 "
        "삭제되었거나, 양식이 한 시간 넘게 열려 있었어요. 그 메시지에 대해 다시 물어봐 주세요."
    )
    secrets_joined = "{first} 및 {last}"
    secret_anthropic = "Anthropic 키"
    secret_aws = "AWS 키"
    secret_discord_token = "Discord 토큰"
    secret_discord_webhook = "Discord 웹훅 주소"
    secret_github = "GitHub 토큰"
    secret_gitlab = "GitLab 토큰"
    secret_google = "Google 키"
    secret_hugging_face = "Hugging Face 토큰"
    secret_jwt = "JWT(인증 토큰)"
    secret_npm = "npm 토큰"
    secret_openai = "OpenAI 키"
    secret_private_key = "개인 키"
    secret_pypi = "PyPI 토큰"
    secret_slack = "Slack 토큰"
    secret_stripe = "Stripe 키"
    secret_telegram = "Telegram 토큰"
    secret_url_password = "주소 속 비밀번호"
    reset_name = "초기화"
    reset_description = "이 대화를 잊어요"
    reset_done = "이곳에서 나눈 대화 {count}개를 잊었어요. 새로 시작해요."
    reset_one = "이곳에서 나눈 대화 1개를 잊었어요. 새로 시작해요."
    reset_nothing = "이곳에는 잊을 대화가 없었어요."
    system_name = "시스템"
    system_description = "제가 여기서 따르는 지시(시스템 프롬프트)를 보거나 바꿔요"
    system_prompt_option_name = "프롬프트"
    system_prompt_option = "새 시스템 프롬프트. 비워 두면 지금 것을 보고 고칠 수 있어요"
    scope_option_name = "범위"
    scope_option = "적용 범위: 이곳(기본) 또는 서버 전체"
    scope_channel = "채널"
    scope_server = "서버"
    system_modal_title = "시스템 프롬프트"
    system_modal_label = "비우면 상위 시스템 프롬프트를 따라요"
    system_placeholder = "현재: {prompt}"
    system_set_channel = "이 채널의 시스템 프롬프트를 설정했어요. 채널의 스레드에도 적용돼요."
    system_set_thread = "이 스레드의 시스템 프롬프트를 설정했어요."
    system_set_dm = "다이렉트 메시지의 시스템 프롬프트를 설정했어요."
    system_set_server = "이 서버의 시스템 프롬프트를 설정했어요. 따로 설정한 채널은 그대로예요."
    system_secret_removed = (
        "이 명령을 쓸 수 있는 사람은 누구나 읽을 수 있으므로, 비밀 정보로 보이는 것을 지웠어요: "
        "{secrets}."
    )
    system_cleared = (
        "따로 설정한 시스템 프롬프트를 지웠어요. 이제 여기서는 채널이나 서버의 것, 없으면 기본값을 "
        "따라요."
    )
    system_too_long = (
        "시스템 프롬프트가 너무 길어요. {characters}자, 약 {tokens}토큰이에요. "
        "{character_limit}자, {token_limit}토큰까지 쓸 수 있어요. 바뀐 것은 없어요."
    )
    system_flagged = (
        "유해성 검사 서비스가 이 시스템 프롬프트를 문제가 있다고 판단했어요. 바뀐 것은 없어요. "
        "표현을 바꿔 주세요."
    )
    system_unchecked = (
        "검사 서비스가 작동하지 않아서 지금은 시스템 프롬프트를 설정할 수 없어요. "
        "바뀐 것은 없어요. 1분 뒤에 다시 시도해 주세요."
    )
    model_name = "모델"
    model_description = "여기서 답하는 모델을 보거나 다른 모델을 골라요"
    model_option_name = "모델"
    model_option = "사용할 모델 또는 default. 비워 두면 지금 모델을 보여 줘요"
    model_default_choice = "기본값 ({model})"
    model_until_choice = "{model} ({date}까지)"
    model_reason_own = "이곳에 설정된 모델이에요."
    model_reason_channel = "이 스레드가 속한 채널에 설정된 모델이에요."
    model_reason_server = "이 서버에 설정된 모델이에요."
    model_reason_default = "기본 모델이에요. 이곳에는 따로 설정된 모델이 없어요."
    model_shutdown = "AI 서비스에 따르면 이 모델은 {date}에 종료될 예정이에요."
    model_set_channel = "이제부터 이 채널과 채널의 스레드에서는 {model} 모델이 답해요."
    model_set_thread = "이제부터 이 스레드에서는 {model} 모델이 답해요."
    model_set_dm = "이제부터 여기서는 {model} 모델이 답해요."
    model_set_server = (
        "이제부터 이 서버에서는 {model} 모델이 답해요. 모델을 따로 설정한 채널은 그대로예요."
    )
    model_cleared = "따로 고른 모델을 취소했어요. 이제부터 여기서는 {model} 모델이 답해요."
    model_not_offered = (
        "{model} 모델은 쓸 수 없어서 아무것도 바꾸지 않았어요. 고를 수 있는 모델: {models}"
    )
    model_list_missing = (
        "지금은 AI 서비스가 어떤 모델이 있는지 알려 주지 않아서 아무것도 바꾸지 않았어요. 1분 뒤에 "
        "다시 시도하거나, 이 봇의 운영자에게 OPENAI_MODELS를 설정해 달라고 부탁해 주세요."
    )
    usage_name = "사용량"
    usage_description = "내가 쓴 토큰과 비용을 보여 줘요"
    usage_by_option_name = "기준"
    usage_by_option = "서버 관리자용: 이 서버의 전체 사용량을 사람, 채널, 날짜별로 보여 줘요"
    usage_by_person = "사람"
    usage_by_channel = "채널"
    usage_by_day = "날짜"
    usage_own = "모든 곳에서 쓴 양이에요."
    usage_guild = "최근 30일 동안 이 서버에서 쓴 양이에요."
    usage_today = "오늘"
    usage_week = "최근 7일"
    usage_month = "최근 30일"
    usage_all_time = "전체"
    usage_line = "{label}: 입력 {prompt}토큰, 출력 {completion}토큰, 답변 {answers}개"
    usage_forgotten_people = "기록을 지운 사람들"
    usage_others = "나머지"
    usage_total = "합계"
    usage_nothing = "최근 30일 동안 이 서버에서 쓴 것이 없어요."
    usage_estimated = "≈는 AI 서비스가 토큰 수를 알려 주지 않아 일부를 추정한 값이에요."
    usage_unpriced = "가격이 설정되지 않은 모델: {models}"
    usage_left_day = "오늘 남은 양: {limit} 가운데 {left}. {when}에 다시 시작해요."
    usage_left_month = "이번 달에 남은 양: {limit} 가운데 {left}. {when}에 다시 시작해요."
    usage_left_server_day = "오늘 이 서버에 남은 양: {limit} 가운데 {left}. {when}에 다시 시작해요."
    usage_left_server_month = (
        "이번 달에 이 서버에 남은 양: {limit} 가운데 {left}. {when}에 다시 시작해요."
    )
    usage_tokens = "{count}토큰"
    usage_days = "하루는 UTC 자정에 시작해요. 스레드에서 쓴 양은 그 채널에 더해요."
    help_name = "도움말"
    help_description = "제가 여기서 할 수 있는 일과 질문하는 방법"
    help_ask_channel = "메시지에서 저를 멘션하면 그 메시지에서 시작하는 스레드에 답해요."
    help_follow_up = "스레드 안에서는 다시 멘션하지 않고 이어서 쓰면 돼요."
    help_follow_up_mention = "스레드 안에서도 저를 멘션하거나 제 메시지에 답장해 주세요."
    help_ask_in_place = "저를 멘션하거나 제 메시지에 답장하면 바로 여기서 답해요."
    help_ask_own_thread = "그냥 쓰시면 돼요. 이 스레드는 저와 나누는 대화예요."
    help_ask_dm = "그냥 쓰시면 돼요. 여기서는 모든 메시지에 답해요."
    help_ask_user_install = (
        "여기서는 메시지를 읽을 수 없으니 /질문으로 물어봐 주세요. 모두에게 공개하지 않는 한 "
        "답변은 혼자만 볼 수 있어요."
    )
    help_may_use = "여기서 저를 쓸 수 있는 사람이에요."
    help_about = (
        "메시지 메뉴에서 앱, 제 이름, '이 메시지에 대해 묻기'를 차례로 고르면 그 메시지에 대해 "
        "물을 수 있어요. 답변은 혼자만 볼 수 있어요."
    )
    help_files = (
        "질문, 질문에서 답장한 메시지, '이 메시지에 대해 묻기'로 고른 메시지에 첨부된 텍스트 "
        "파일을 읽어요."
    )
    help_pdfs = "거기에 첨부된 PDF의 텍스트도 읽어요."
    help_pictures = "거기에 첨부된 이미지(PNG, JPEG, GIF, WebP)도 봐요."
    help_memory = "여기서 나눈 이야기를 기억해요."
    help_buttons = (
        "답변 아래에 버튼이 있어요. 쓰는 동안에는 멈추기, 다 쓰면 다시 쓰기, 답변이 잘렸으면 이어 "
        "쓰기예요. 혼자만 보는 답변이 메시지 여러 개로 나뉘면 멈추기만 있어요."
    )
    help_buttons_user_install = (
        "혼자만 보는 답변 아래에 버튼이 있어요. 쓰는 동안에는 멈추기, 메시지 하나에 다 썼으면 다시 "
        "쓰기, 답변이 잘렸으면 이어 쓰기예요."
    )
    help_model = "여기서 답하는 모델: {model}"
    help_prompt_own = "이곳이나 이곳이 속한 채널에 설정된 시스템 프롬프트를 따라요."
    help_prompt_server = "이 서버의 시스템 프롬프트를 따라요."
    help_prompt_default = "기본 시스템 프롬프트를 따라요."
    help_commands = (
        "누구나 쓸 수 있는 명령어: /질문, /모델, /사용량, /개인정보, /내보내기, /잊어줘."
    )
    help_commands_managers = (
        "서버 관리자용 명령어: /초기화는 이 대화를 잊고, /시스템은 제가 따를 지시를 설정하고, "
        "/모델은 답할 모델을 고르고, /사용량은 모두의 사용량을 보여 줘요."
    )
    help_commands_dm = (
        "다이렉트 메시지에서는 직접 관리할 수 있어요. /초기화는 이 대화를 잊고, /시스템은 제가 "
        "따를 지시를 설정하고, /모델은 답할 모델을 골라요."
    )
    help_commands_user_install = (
        "여기서 쓸 수 있는 명령어: /질문, /사용량, /개인정보, /내보내기, /잊어줘."
    )
    operator_name = "운영"
    operator_description = "봇의 상태와 사용 제한. 봇 운영자용"
    operator_only = "이 봇의 운영자만 쓸 수 있는 명령어예요."
    status_subcommand = "상태"
    status_description = "버전, 연결, 질문, 데이터베이스, 차단 목록"
    status_version = "버전 {version}, 시작: {when}."
    status_connection = "연결된 서버: {guilds}개. Discord의 응답 시간: {milliseconds}ms."
    status_connection_new = "연결된 서버: {guilds}개."
    status_questions = "열린 질문: {open}개. 오늘(UTC) 답한 질문: {answered}개."
    status_database = "데이터베이스: {size}MB."
    status_backup = "마지막 백업: {when}."
    status_no_backup = "`python -m bot backup`으로 만든 백업이 없어요."
    status_server_backup = "백업은 제가 아니라 데이터베이스 서버에서 만들어요."
    status_reload = "설정을 다시 읽은 때: {when}."
    status_no_reload = "시작한 뒤로 설정을 다시 읽지 않았어요."
    status_blocked_persons = "차단한 사람: {persons}."
    status_blocked_servers = "차단한 서버: {servers}."
    status_no_blocks = "차단한 사람이나 서버가 없어요."
    block_subcommand = "차단"
    block_description = "사람이나 서버가 봇을 쓰지 못하게 해요"
    unblock_subcommand = "차단해제"
    unblock_description = "사람이나 서버의 차단을 풀어요"
    person_option_name = "사람"
    person_option = "사람. ID도 돼요"
    server_option_name = "서버"
    server_option = "서버의 ID"
    operator_whom = "사람과 서버 가운데 하나만 적어 주세요."
    operator_no_id = "서버의 ID가 아니에요. ID는 숫자로만 되어 있어요."
    operator_cannot_block = "이 봇의 운영자는 차단할 수 없어요."
    operator_blocked = "차단했어요: {person}. 이제 어디에서도 답하지 않아요."
    operator_blocked_server = "차단했어요: 서버 {server}. 이제 그곳에서는 아무에게도 답하지 않아요."
    operator_unblocked = "차단을 풀었어요: {person}. 다른 제한은 그대로예요."
    operator_unblocked_server = "차단을 풀었어요: 서버 {server}. 다른 제한은 그대로예요."

    status_budget_day = "오늘 모두가 쓴 양: {limit} 중 {spent}. 다시 시작: {when}."
    status_budget_month = "이번 달 모두가 쓴 양: {limit} 중 {spent}. 다시 시작: {when}."
    budget_subcommand = "예산"
    budget_description = "예산을 보거나 설정 대신 새로 정해요"
    budget_scope_option_name = "대상"
    budget_scope_option = "누구의 예산인지"
    budget_period_option_name = "기간"
    budget_period_option = "얼마 동안의 예산인지"
    budget_amount_option_name = "한도"
    budget_amount_option = "TOKEN_PRICES의 통화나 토큰으로 쓴 한도. 0이면 아무것도 못 써요"
    budget_reset_option_name = "초기화"
    budget_reset_option = "한도 대신 고르는 값"
    budget_person_choice = "한 사람"
    budget_server_choice = "서버 하나"
    budget_bot_choice = "봇 전체"
    budget_day_choice = "하루"
    budget_month_choice = "한 달"
    budget_none_choice = "한도 없음"
    budget_settings_choice = "설정대로"
    operator_budget = "{who}의 {period} 예산: {limit}."
    operator_budget_ordered = "{who}의 {period} 예산: {limit}. /운영으로 정했어요."
    operator_no_budgets = "정해진 예산이 없어요."
    operator_budget_options = (
        "예산을 정하려면 대상과 기간을 고르고, 한도와 초기화 가운데 하나를 적어 주세요."
    )
    operator_budget_too_fine = "한도가 셀 수 있는 단위보다 작아요."
    operator_needs_prices = (
        "돈으로 정하는 예산에는 고를 수 있는 모든 모델의 가격이 TOKEN_PRICES에 있어야 해요. 가격이 "
        "없으면 BUDGETS의 단위를 토큰으로 바꿔 주세요."
    )

    privacy_name = "개인정보"
    privacy_description = "제가 무엇을 저장하고, 어디로 보내고, 얼마나 보관하는지"
    privacy_what = (
        "어디서 무슨 이야기를 나눴는지 기억하려고, 저에게 하신 질문, 그 질문과 관련된 "
        "메시지(전달하거나 답장한 메시지, 질문 대상이 된 메시지), 함께 온 파일의 텍스트, 제 답변을 "
        "이름과 함께 저장해요."
    )
    privacy_where = (
        "답변하려고 이것을 {host}(모델 {model})에 보내요. 같은 곳에서 앞서 나눈 대화, 위로 이어진 "
        "답장, 그곳의 이름과 주제도 함께 보내요."
    )
    privacy_pictures = (
        "이미지도 그곳으로 보내고, Discord에 남아 있는 동안에는 다음 질문과 함께 다시 보내요. "
        "이미지는 저장하지 않고 이름만 저장해요."
    )
    privacy_moderation = (
        "질문과 함께 온 파일, 이미지를 포함해 질문을 {host}에도 보내서 유해한지 검사해요."
    )
    privacy_redacted = (
        "키나 토큰, 주소 속 비밀번호로 보이는 것은 그 전에 지워요. Discord의 메시지에는 남아 "
        "있어요."
    )
    privacy_usage = (
        "사용한 토큰도 날짜, 채널, 모델별로 집계하고, /사용량으로 보여 드려요. /잊어줘를 쓰면 누가 "
        "썼는지 남지 않아요."
    )
    privacy_budgets = (
        "운영자가 한 사람이 쓸 수 있는 양을 정해 두었어요. 그래서 하루에 쓴 양을 {days}일 동안 "
        "보관하고, /잊어줘를 써도 남겨요."
    )
    privacy_kept_days = "{days}일이 지나면 잊어요."
    privacy_kept_until_deleted = "초기화하거나 삭제할 때까지 보관해요."
    privacy_copies = (
        "데이터베이스 사본은 {days}일 동안 보관해요. 삭제한 내용도 그때까지 사본에 남아 있어요."
    )
    privacy_server = (
        "제 데이터베이스는 서버에 있어요. 삭제한 내용이 서버의 로그와 백업에는 더 오래 남을 수 "
        "있고, 그 기간은 운영자가 정해요."
    )
    privacy_rights = (
        "Discord에서 메시지를 수정하거나 삭제하면 저도 따라서 고치거나 잊어요. /내보내기는 저에게 "
        "하신 질문과 제 답변을 모두 드리고, /잊어줘는 모든 곳에서 잊게 해요."
    )
    export_name = "내보내기"
    export_description = "내 질문과 그 답변을 모두 나만 볼 수 있는 파일로 받아요"
    export_done = "저에게 하신 질문과 제 답변 전부예요. 대화 {count}개예요."
    export_cut = "최근 대화 {count}개예요. 그보다 오래된 대화는 파일에 다 들어가지 않아요."
    export_nothing = "저장된 질문이 없어요."
    forget_me_name = "잊어줘"
    forget_me_description = "내 질문을 모든 곳에서 모두 잊게 해요"
    forget_me_sure = (
        "저에게 하신 질문과 제 답변을 모든 곳에서 영구히 잊을게요. Discord에 있는 메시지는 직접 "
        "삭제할 때까지 남아요."
    )
    forget_me_label = "모두 잊기"
    forget_me_done = "모든 곳에서 대화 {count}개를 잊었어요."
    thought = "{seconds}초 동안 생각했어요."
    reply_attached = "여기까지는 앞부분이에요. 전체 답변은 첨부한 {name} 파일에 있어요."
    reply_too_long = (
        "내용이 더 있지만 Discord에서는 여기까지만 보여 줄 수 있어요. 계속해 달라고 말해 주세요."
    )
    reply_blocked = (
        "이 서버나 Discord의 규칙 때문에 나머지 답변이 차단되어 여기서 멈췄어요. 표현을 바꿔서 "
        "다시 물어봐 주세요."
    )
    stop_label = "멈추기"
    regenerate_label = "다시 쓰기"
    continue_label = "이어 쓰기"
    previous_answer_kept = "새 답변을 만들지 못해서 이전 답변을 그대로 두었어요."
    still_no_answer = "아직 이 질문에 답하지 못했어요."
    continue_interrupted = "다시 시작해야 해요. 제가 돌아오면 이어 쓰기를 다시 눌러 주세요."
    continue_interrupted_plain = "다시 시작해야 해요. 제가 돌아오면 계속해 달라고 말해 주세요."
    nothing_to_stop = "멈출 것이 없어요. 이 답변은 이제 쓰고 있지 않아요."
    answer_running = "이 답변은 이미 쓰고 있어요."
    answer_forgotten = "이 답변은 더 이상 기억하지 못해요. 다시 물어봐 주세요."
    refused_button = (
        "질문한 사람과 메시지를 관리할 수 있는 사람만 이 버튼을 쓸 수 있어요. 직접 저에게 "
        "물어보셔도 돼요."
    )
    refused_permission = "여기서는 서버 관리 권한이 있는 사람만 할 수 있어요."
    refused_server_scope = "여기에는 서버가 없어요. 다이렉트 메시지에서는 범위를 비워 두세요."
    refused_usage_by = (
        "저를 추가한 서버에서만 쓸 수 있어요. 옵션을 비워 두면 내 사용량을 볼 수 있어요."
    )
    refused_place = (
        "저는 여기서 답하도록 설정되지 않았어요. 어디서 답할지는 이 봇의 운영자가 정해요."
    )
    refused_person = (
        "여기서는 저를 쓰실 수 없어요. 누가 어디서 쓸 수 있는지는 이 봇의 운영자가 정해요."
    )
    command_memory_failed = (
        "지금은 기억이 작동하지 않아서 바뀐 것이 없어요. 1분 뒤에 다시 시도해 주세요."
    )
    command_failed = "명령을 처리하지 못했어요. 다시 시도해 주세요. 자세한 내용은 로그에 있어요."
    modal_outdated = (
        "이 양식이 열려 있는 동안 제가 업데이트되어 무엇을 위한 양식인지 알 수 없어요. 다시 열어 "
        "주세요."
    )
    modal_text_returned = "쓰신 내용이 사라지지 않도록 여기에 돌려 드려요."
    terminal_greeting = (
        "질문을 입력하세요. 나눈 대화는 종료한 뒤에도 /reset을 할 때까지 기억해요. /system은 "
        "시스템 프롬프트를 보여 주고, /system 뒤에 글을 쓰면 새로 설정하고, /system default는 "
        "기본값으로 되돌리고, /quit은 종료해요."
    )
    terminal_remembered = "(마지막 질문: “{question}”, 시스템 프롬프트: “{prompt}”)"
    terminal_reset = "(잊은 대화: {count}개)"
    terminal_system = "(시스템 프롬프트: {prompt})"
    terminal_unknown_command = "(없는 명령어예요. /reset, /system, /quit을 쓸 수 있어요)"
    terminal_without_memory = (
        "(다른 채팅이 저장된 대화를 쓰고 있어서, 이 채팅은 처음부터 시작하고 저장하지 않아요.)"
    )


KOREAN: Final = Korean()
