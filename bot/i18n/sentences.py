"""Everything that people read, in English. Each other language is a class with the same names."""

from collections.abc import Callable
from typing import Final


class Sentences:
    """What people read in one language: English, or a subclass that replaces every sentence.

    Each is a whole sentence or a label. Braces are filled in by name. A name that ends in _plain is
    that of the sentence for an answer that has no Continue button.
    """

    def __init_subclass__(cls) -> None:
        """Refuse a language that lacks a sentence, or has one that English lacks."""
        differing = set(names_in(cls)) ^ set(names_in(Sentences))
        if differing:
            raise TypeError(f"{cls.__name__} and English differ in {sorted(differing)}")

    # Instead of an answer
    hint_no_question = (
        "Hi! What would you like to know? Write your question in the same message that mentions me."
    )
    hint_text_only = "Hi! I can only read text. Please write your question in words."
    hint_voice = "I cannot listen to voice messages. Please write your question in words."
    hint_nothing_readable = (
        "Hi! I can read text, text files and pictures, but I found none of them here. Please write "
        "your question in words."
    )
    hint_needs_mention = (
        "Here I can only read messages that mention me. Mention me in your message, or ask an "
        "admin to turn on the Message Content Intent for me."
    )
    queue_full = (
        "Too many questions are waiting here already. Please ask again when they are answered."
    )
    rate_limited = (
        "You are asking faster than I may answer: the limit is {limit} questions a minute. I "
        "skipped this one; please ask it again in a minute."
    )
    budget_person_day = "You have used up your budget for today. It resets {when}."
    budget_person_month = "You have used up your budget for this month. It resets {when}."
    budget_server_day = "This server has used up its budget for today. It resets {when}."
    budget_server_month = "This server has used up its budget for this month. It resets {when}."
    budget_bot_day = "I have used up my budget for today. It resets {when}."
    budget_bot_month = "I have used up my budget for this month. It resets {when}."
    budget_nothing = "I cannot answer: the operator of this bot has set the budget for this to 0."
    memory_unreadable = "I cannot read my memory right now. Please try again in a minute."
    memory_unwritable = "My memory cannot be written right now: I will not remember this."

    # Notices under an answer
    file_not_text = "I did not read {name}: it contains no text that I can read."
    files_off = "I did not read {name}: I am not set up to read files."
    file_too_large = "I did not read {name}: it is larger than {limit:g} MB."
    file_unreachable = "I could not download {name} from Discord. Please send it again."
    file_cut = "I read only the first {characters:,} characters of {name}; the rest does not fit."
    pdfs_off = "I did not read {name}: I am not set up to read PDFs."
    pdf_locked = "I did not read {name}: it is protected with a password."
    pdf_damaged = "I did not read {name}: the PDF is damaged."
    pdf_without_text = "I did not read {name}: its pages are pictures without text."
    pdf_too_complex = "I did not read {name}: reading it takes more time or memory than I may use."
    pdf_cut = "I read only the beginning of {name}. Pages read: {pages}."
    pictures_off = "I did not look at {name}: I am not set up to look at pictures."
    picture_unsupported = (
        "I did not look at {name}: I can only see PNG, JPEG, GIF and WebP pictures."
    )
    picture_left_out = "I did not look at {name}: there is no room for more pictures."
    pictures_unreachable = (
        "I could not download some of the pictures from Discord. Please send them again."
    )
    pictures_busy = (
        "I did not look at the pictures: too many are on their way to the AI model just now. "
        "Please try again in a minute."
    )
    pictures_refused = "The AI service did not take the pictures, so I answered without them."
    files_shortened = (
        "Your files are longer than I can read at once, so I read the first {percent}% of them."
    )
    question_shortened = (
        "Your question was longer than I can read at once, so I read the first {percent}% of it. "
        "Please ask about the rest separately."
    )
    secret_in_message = (
        "I removed what looks like {secrets} from your question. Delete your message, then replace "
        "the secret: it may have been seen."
    )
    secrets_in_message = (
        "I removed what looks like {secrets} from your question. Delete your message, then replace "
        "the secrets: they may have been seen."
    )
    secret_in_command = (
        "I removed what looks like {secrets} from your question. Replace the secret, because "
        "Discord still has it."
    )
    secrets_in_command = (
        "I removed what looks like {secrets} from your question. Replace the secrets, because "
        "Discord still has them."
    )
    secret_in_quote = (
        "I removed what looks like {secrets} from the message that you refer to. Its author should "
        "delete that message and replace the secret."
    )
    budget_nearly_day = "You have used {percent}% of your budget for today. It resets {when}."
    budget_nearly_month = (
        "You have used {percent}% of your budget for this month. It resets {when}."
    )
    stopped = "Stopped here, as requested."
    stopped_by_reset = "Stopped: this conversation was reset."
    interrupted = "I have to restart. This answer goes on as soon as I am back."
    interrupted_too_often = (
        "I was interrupted here more than once and cannot finish this. Please ask me again."
    )
    too_late = "I was away for too long to answer this in time. Please ask me again."

    # What went wrong with the model
    model_key_refused = (
        "The AI service refused my key. Please tell an admin: the API key needs to be replaced."
    )
    model_access_denied = (
        "The AI service refuses me access. Please tell an admin: the log says why. It may be the "
        "key's permissions, the account or the region."
    )
    model_quota_exceeded = (
        "The AI service says that my credit is used up. Please tell an admin: the account needs "
        "credit before I can answer."
    )
    model_unknown = (
        "The AI service does not know the model that I am set to use. Please ask an admin to "
        "choose another one with /model, or to check OPENAI_MODEL and OPENAI_BASE_URL."
    )
    model_address_wrong = (
        "There is no AI service at the address that I was given. Please tell an admin: "
        "OPENAI_BASE_URL needs to be corrected; it usually ends in v1."
    )
    model_busy = "The AI service is too busy right now. Please try again in a minute."
    model_rate_limited_until = (
        "The AI service accepts no more questions from me for now. Please ask again after {when}."
    )
    model_rate_limited = (
        "My quota at the AI service is used up. The service does not say when it renews. Please "
        "ask again later today or tomorrow. An admin can read in the log which limit it is."
    )
    model_unreachable = "I cannot reach the AI service right now. Please try again in a minute."
    model_timeout = "The AI service took too long. Please try again in a minute."
    model_context_exceeded = (
        "This conversation is too long for the AI model. Try a shorter question, or start a new "
        "conversation with /reset (in a server, only its managers can). If it happens again, "
        "please tell an admin: CONTEXT_TOKENS needs to be lower."
    )
    model_context_asked = (
        "This conversation is too long for the AI model. Try a shorter question. If it happens "
        "again, please tell an admin: CONTEXT_TOKENS needs to be lower."
    )
    model_reply_too_long = (
        "I asked the AI model for a longer answer than it allows. Please tell an admin: "
        "REPLY_TOKENS needs to be lower."
    )
    model_request_refused = (
        "The AI service did not accept my request. Please tell an admin: the log says why."
    )
    model_images_unsupported = "The AI model cannot see pictures. I leave them out."
    model_content_filtered = (
        "The AI service withheld the answer because of its content rules. "
        "Asking in other words may help."
    )
    question_withheld = (
        "I withheld my answer, because the moderation service flagged this question. I have erased "
        "the question and the answer. Please ask in other words."
    )
    withheld_title = "Withheld question"
    question_unchecked = (
        "I cannot answer now, because the service that checks questions does not work. "
        "Please ask again in a minute."
    )
    model_empty = "The AI service sent an empty answer. Please try again, perhaps in other words."
    model_output_truncated = (
        "The answer reached its length limit and stops here. Press Continue, or ask me to go on."
    )
    model_output_truncated_plain = (
        "The answer reached its length limit and stops here. Ask me to go on."
    )
    model_thought_only = (
        "The AI model used up its length limit by thinking, so there is no answer. Try a simpler "
        "question, and tell an admin: REPLY_TOKENS needs to be higher for this model."
    )
    model_thought_filled_window = (
        "The AI model thought until its context window was full, so there is no answer. A shorter "
        "question may help. Please tell an admin: CONTEXT_TOKENS needs to be lower, or the model "
        "needs a larger context window."
    )
    model_cut = (
        "The answer was cut off here by a lost connection. Press Continue, or ask me to go on."
    )
    model_cut_plain = "The answer was cut off here by a lost connection. Ask me to go on."
    model_unfinished = (
        "The AI service did not finish this answer. Press Continue in a minute, or ask me to go on."
    )
    model_unfinished_plain = (
        "The AI service did not finish this answer. Ask me in a minute to go on."
    )
    model_stopped = (
        "The AI service ended the answer here without saying why, so it may not be whole. "
        "Press Continue, or ask me to go on."
    )
    model_stopped_plain = (
        "The AI service ended the answer here without saying why, so it may not be whole. "
        "Ask me to go on."
    )
    model_failed = "The AI service had a problem. Please try again in a minute."
    model_empty_body = (
        "The AI service sent nothing back. Some services do that when a conversation is too long. "
        "Try a shorter question. If it happens again, please tell an admin: CONTEXT_TOKENS may "
        "need to be lower."
    )
    answer_failed = "Something went wrong on my side. Please try again; the log has the details."

    # /ask and "Ask about this"
    ask_name = "ask"
    ask_description = "Ask me something, even where I cannot read messages"
    ask_question_option_name = "question"
    ask_question_option = "What you want to know"
    ask_private_option_name = "private"
    ask_private_option = "Show the answer only to you (default), or to everyone here"
    ask_about_menu = "Ask about this"
    ask_modal_title = "Ask about this message"
    ask_modal_label = "Your question (optional)"
    pasted_question = "Question"
    ask_nothing_to_read = "This message has no text that I can read."
    ask_about_lost = (
        "I no longer know which message this was about: I was restarted, the message was deleted, "
        "or the form was open for more than an hour. Please ask about the message again."
    )

    # What was removed from a text
    secrets_joined = "{first} and {last}"
    secret_anthropic = "an Anthropic key"
    secret_aws = "an AWS key"
    secret_discord_token = "a Discord token"
    secret_discord_webhook = "the address of a Discord webhook"
    secret_github = "a GitHub token"
    secret_gitlab = "a GitLab token"
    secret_google = "a Google key"
    secret_hugging_face = "a Hugging Face token"
    secret_jwt = "a JWT"
    secret_npm = "an npm token"
    secret_openai = "an OpenAI key"
    secret_private_key = "a private key"
    secret_pypi = "a PyPI token"
    secret_slack = "a Slack token"
    secret_stripe = "a Stripe key"
    secret_telegram = "a Telegram token"
    secret_url_password = "a password in an address"

    # /reset
    reset_name = "reset"
    reset_description = "Forget this conversation"
    reset_done = "I have forgotten {count} exchanges in this place. We start afresh."
    reset_one = "I have forgotten 1 exchange in this place. We start afresh."
    reset_nothing = "There was nothing to forget in this place."

    # /system; the options for the scope are those of /model, too
    system_name = "system"
    system_description = "Show or change the instructions that I follow here (the system prompt)"
    system_prompt_option_name = "prompt"
    system_prompt_option = "The new system prompt; leave it out to view and edit the current one"
    scope_option_name = "scope"
    scope_option = "What it applies to: this place (default) or the whole server"
    scope_channel = "channel"
    scope_server = "server"
    system_modal_title = "System prompt"
    system_modal_label = "Leave empty to use the inherited prompt"
    system_placeholder = "Current: {prompt}"
    system_set_channel = "The system prompt of this channel is set. It applies to its threads, too."
    system_set_thread = "The system prompt of this thread is set."
    system_set_dm = "The system prompt of our direct messages is set."
    system_set_server = (
        "The system prompt of this server is set. Channels with their own prompt keep it."
    )
    system_secret_removed = (
        "I removed what looks like {secrets} from the system prompt, because everyone who can use "
        "this command can read it."
    )
    system_cleared = (
        "Cleared. The system prompt of the channel or the server applies here now, or else the "
        "default one."
    )
    system_too_long = (
        "This system prompt is too long: it has {characters} characters and about {tokens} tokens. "
        "The limit is {character_limit} characters and {token_limit} tokens. Nothing was changed."
    )

    system_flagged = (
        "The moderation service flagged this system prompt. Nothing was changed. Please use other "
        "words."
    )
    system_unchecked = (
        "I cannot set a system prompt now, because the service that checks it does not work. "
        "Nothing was changed. Please try again in a minute."
    )

    # /model
    model_name = "model"
    model_description = "Show which model answers here, or choose another one"
    model_option_name = "model"
    model_option = "The model to use, or default; leave it out to see the current one"
    model_default_choice = "default ({model})"
    model_until_choice = "{model} (until {date})"
    model_reason_own = "It was chosen for this place."
    model_reason_channel = "It was chosen for the channel that this thread belongs to."
    model_reason_server = "It was chosen for this server."
    model_reason_default = "It is the default; no other model was chosen here."
    model_shutdown = "According to the AI service, this model will be shut down on {date}."
    model_set_channel = "From now on {model} answers in this channel and its threads."
    model_set_thread = "From now on {model} answers in this thread."
    model_set_dm = "From now on {model} answers you here."
    model_set_server = (
        "From now on {model} answers in this server. Channels with their own model keep it."
    )
    model_cleared = "Choice cleared. From now on {model} answers here."
    model_not_offered = (
        "I cannot use {model}, so nothing was changed. Choose one of these: {models}"
    )
    model_list_missing = (
        "The AI service does not tell me right now which models it has, so nothing was changed. "
        "Please try again in a minute, or ask the operator of this bot to set OPENAI_MODELS."
    )

    # /usage
    usage_name = "usage"
    usage_description = "See how many tokens you have used, and what they cost"
    usage_by_option_name = "by"
    usage_by_option = "For server managers: the usage of everyone in this server, grouped by this"
    usage_by_person = "person"
    usage_by_channel = "channel"
    usage_by_day = "day"
    usage_own = "Your usage in all places:"
    usage_guild = "Usage in this server in the last 30 days:"
    usage_today = "Today"
    usage_week = "Last 7 days"
    usage_month = "Last 30 days"
    usage_all_time = "All time"
    usage_line = "{label}: {prompt} tokens in, {completion} out, answers: {answers}"
    usage_forgotten_people = "people who were forgotten"
    usage_others = "Others"
    usage_total = "Total"
    usage_nothing = "There was no usage in this server in the last 30 days."
    usage_estimated = (
        "≈ marks figures that are partly estimated, because the AI service did not report the "
        "tokens."
    )
    usage_unpriced = "No price is set for: {models}"
    usage_left_day = "You have {left} of {limit} left today. It resets {when}."
    usage_left_month = "You have {left} of {limit} left this month. It resets {when}."
    usage_left_server_day = "This server has {left} of {limit} left today. It resets {when}."
    usage_left_server_month = "This server has {left} of {limit} left this month. It resets {when}."
    usage_tokens = "{count} tokens"
    usage_days = "Days begin at midnight UTC. Usage in a thread counts for its channel."

    # /help
    help_name = "help"
    help_description = "What I do here, and how to ask me"
    help_ask_channel = "Mention me in a message, and I answer in a thread that starts from it."
    help_follow_up = "In the thread, just keep writing: you do not need to mention me again."
    help_follow_up_mention = "In the thread, mention me again or reply to one of my messages."
    help_ask_in_place = "Mention me or reply to one of my messages, and I answer right here."
    help_ask_own_thread = "Just write: this thread is a conversation with me."
    help_ask_dm = "Just write: I answer every message here."
    help_ask_user_install = (
        "I cannot read messages here, so ask me with /ask. Only you see the answer, unless you "
        "choose to show it to everyone."
    )
    help_may_use = "You are among the people who may use me here."
    help_about = (
        'To ask about any message, open its menu and choose Apps, my name, and "Ask about this". '
        "Only you see the answer."
    )
    help_files = (
        "I read text files that are attached to a question, to the message that it replies to, or "
        "to a message that you ask about."
    )
    help_pdfs = "I also read the text of PDFs attached there."
    help_pictures = "I also look at pictures attached there (PNG, JPEG, GIF, WebP)."
    help_memory = "I remember what was said here."
    help_buttons = (
        "An answer has a Stop button while I write it, then Regenerate, and Continue if it was cut "
        "off. If only you see it and it takes several messages, it has only Stop."
    )
    help_buttons_user_install = (
        "An answer that only you see has a Stop button while I write it. If it is a single "
        "message, it then has Regenerate, and Continue if it was cut off."
    )
    help_model = "The model that answers here is {model}."
    help_prompt_own = "The system prompt that was set for this place or its channel applies here."
    help_prompt_server = "The system prompt of this server applies here."
    help_prompt_default = "The default system prompt applies here."
    help_commands = "Commands for everyone: /ask, /model, /usage, /privacy, /export, /forget-me."
    help_commands_managers = (
        "For server managers: /reset forgets this conversation, /system sets the instructions that "
        "I follow, /model chooses the model that answers, and /usage shows the usage of everyone."
    )
    help_commands_dm = (
        "In direct messages you are in charge: /reset forgets this conversation, /system sets the "
        "instructions that I follow, and /model chooses the model that answers."
    )
    help_commands_user_install = "Commands here: /ask, /usage, /privacy, /export, /forget-me."

    # /operator
    operator_name = "operator"
    operator_description = "See the state of the bot, and control who may use it; for its operators"
    operator_only = "Only the operators of this bot may use this command."
    status_subcommand = "status"
    status_description = "Version, connection, questions, database, and who is blocked"
    status_version = "Version {version}, started {when}."
    status_connection = "Connected to {guilds} servers; Discord answers within {milliseconds} ms."
    status_connection_new = "Connected to {guilds} servers."
    status_questions = "Open questions: {open}. Answered today (UTC): {answered}."
    status_database = "Database: {size} MB."
    status_backup = "Last backup: {when}."
    status_no_backup = "No backup yet: `python -m bot backup` makes one."
    status_server_backup = "Backups are made at the database server, not by me."
    status_reload = "Settings reloaded: {when}."
    status_no_reload = "Settings have not been reloaded since the start."
    status_blocked_persons = "Blocked people: {persons}."
    status_blocked_servers = "Blocked servers: {servers}."
    status_no_blocks = "Nobody is blocked."
    block_subcommand = "block"
    block_description = "Stop a person or a server from using the bot"
    unblock_subcommand = "unblock"
    unblock_description = "Let a blocked person or server use the bot again"
    person_option_name = "person"
    person_option = "The person, or their id"
    server_option_name = "server"
    server_option = "The id of the server"
    operator_whom = "Name either a person or a server."
    operator_no_id = "That is not the id of a server. It has digits only."
    operator_cannot_block = "You cannot block an operator of this bot."
    operator_blocked = "Blocked: {person}. I no longer answer them anywhere."
    operator_blocked_server = "Blocked: server {server}. I no longer answer anybody there."
    operator_unblocked = "No longer blocked: {person}. The other access lists still apply."
    operator_unblocked_server = (
        "No longer blocked: server {server}. The other access lists still apply."
    )

    status_budget_day = "Used by everybody today: {spent} of {limit}. It resets {when}."
    status_budget_month = "Used by everybody this month: {spent} of {limit}. It resets {when}."
    budget_subcommand = "budget"
    budget_description = "See the budgets, or set one that overrides the settings"
    budget_scope_option_name = "for"
    budget_scope_option = "Whose budget"
    budget_period_option_name = "period"
    budget_period_option = "How long it lasts"
    budget_amount_option_name = "amount"
    budget_amount_option = (
        "How much, in the currency of TOKEN_PRICES or in tokens; 0 allows nothing"
    )
    budget_reset_option_name = "reset"
    budget_reset_option = "Remove the limit, or return to the settings, instead of an amount"
    budget_person_choice = "each person"
    budget_server_choice = "each server"
    budget_bot_choice = "the whole bot"
    budget_day_choice = "a day"
    budget_month_choice = "a month"
    budget_none_choice = "no limit"
    budget_settings_choice = "as in the settings"
    operator_budget = "Budget of {who} for {period}: {limit}."
    operator_budget_ordered = "Budget of {who} for {period}: {limit}, set by /operator."
    operator_no_budgets = "There are no budgets."
    operator_budget_options = (
        "To set a budget, choose for whom, the period, and either an amount or a reset."
    )
    operator_budget_too_fine = "That amount has too many decimal places."
    operator_needs_prices = (
        "A budget in money needs a price in TOKEN_PRICES for each model that people may choose. "
        "Without prices, set the unit of BUDGETS to tokens."
    )

    # /privacy, /export and /forget-me
    privacy_name = "privacy"
    privacy_description = "What I store about you, where it goes, and for how long"
    privacy_what = (
        "I store what you ask me, the messages that your question forwards, replies to or is "
        "about, the text of the files that come with it, and my answers, together with your name. "
        "That is how I remember the conversation in each place."
    )
    privacy_where = (
        "To answer, I send it to {host} (model {model}), together with what was said before in the "
        "same place, the replies above it, and the name and topic of the place."
    )
    privacy_pictures = (
        "Pictures are sent there, too, and again with later questions while they are still in "
        "Discord. I do not store them, only their names."
    )
    privacy_moderation = (
        "I also send your question, with its files and pictures, to {host}, which checks whether "
        "it is harmful."
    )
    privacy_redacted = (
        "Before I send your question, I remove what looks like a key, a token or a password in an "
        "address. The message in Discord still has it."
    )
    privacy_usage = (
        "I also count the tokens that you use, by day, channel and model; /usage shows them. After "
        "/forget-me they are no longer linked to you."
    )
    privacy_budgets = (
        "The operator limits what each person may use. To apply that limit, I keep for {days} days "
        "how much you used on each day, even after /forget-me."
    )
    privacy_kept_days = "I forget it after {days} days."
    privacy_kept_until_deleted = "I keep it until it is reset or deleted."
    privacy_copies = (
        "Copies of my database are kept for {days} days; what is deleted stays in them until then."
    )
    privacy_server = (
        "My database is on a server. Its log and its backups may keep what is deleted for longer; "
        "the operator decides for how long."
    )
    privacy_rights = (
        "If you edit or delete something in Discord, I change or forget it, too. /export gives you "
        "everything that you asked me and what I answered; /forget-me makes me forget it, in every "
        "place."
    )
    export_name = "export"
    export_description = (
        "Get everything that you asked me and what I answered, as files that only you see"
    )
    export_done = "Here is everything that you asked me and what I answered. Exchanges: {count}."
    export_cut = "Here are your newest {count} exchanges; the older ones do not fit into the file."
    export_nothing = "I have nothing stored that you asked me."
    forget_me_name = "forget-me"
    forget_me_description = "Make me forget everything that you asked me, in every place"
    forget_me_sure = (
        "I will permanently forget everything that you asked me and what I answered, in every "
        "place. Messages in Discord stay there until you delete them."
    )
    forget_me_label = "Forget everything"
    forget_me_done = "I have forgotten everything, in every place. Exchanges: {count}."

    # Under an answer: what the reply itself adds
    thought = "Thought for {seconds} s."
    reply_attached = "This is only the beginning: the full answer is in the attached {name}."
    reply_too_long = "There is more, but Discord does not let me show it here. Ask me to go on."
    reply_blocked = (
        "A rule of this server or of Discord blocked the rest of my answer, so I stopped here. "
        "Try asking in other words."
    )

    # Buttons, and the responses to a press
    stop_label = "Stop"
    regenerate_label = "Regenerate"
    continue_label = "Continue"
    previous_answer_kept = "I could not produce a new answer, so I kept the previous one."
    still_no_answer = "I still have no answer to this."
    continue_interrupted = "I have to restart. Press Continue again when I am back."
    continue_interrupted_plain = "I have to restart. Ask me to go on when I am back."
    nothing_to_stop = "There is nothing to stop: I am no longer writing this answer."
    answer_running = "I am already writing this answer."
    answer_forgotten = "I no longer remember this answer. Please ask me again."

    # Why a command, a button or a modal did nothing
    refused_button = (
        "Only the person who asked, and people who may manage messages, can use this button. You "
        "can ask me yourself."
    )
    refused_permission = "Only people with the Manage Server permission can do this here."
    refused_server_scope = "There is no server here. In direct messages, leave the scope out."
    refused_usage_by = (
        "This only works in servers that I was added to. Leave the option out to see your own "
        "usage."
    )
    refused_place = "I am not set up to work here. The operator of this bot decides where I work."
    refused_person = (
        "You may not use me here. The operator of this bot decides who may use me, and where."
    )
    command_memory_failed = (
        "My memory does not work right now, so nothing was changed. Please try again in a minute."
    )
    command_failed = "That did not work. Please try again; the log says what went wrong."
    modal_outdated = (
        "I was updated after this form was opened and no longer know what it was for. Please open "
        "it again."
    )
    modal_text_returned = "Here is what you wrote, so that it is not lost."

    # The terminal
    terminal_greeting = (
        "Type your question. I remember the conversation until you use /reset, even after you "
        "quit. /system shows the system prompt, /system TEXT sets it, /system default restores the "
        "default, and /quit quits."
    )
    terminal_remembered = "(your last question: “{question}”; system prompt: “{prompt}”)"
    terminal_reset = "(exchanges forgotten: {count})"
    terminal_system = "(system prompt: {prompt})"
    terminal_unknown_command = "(unknown command; the commands are /reset, /system and /quit)"
    terminal_without_memory = (
        "(Another chat has the saved conversation open, so this one starts empty and is not saved.)"
    )


def names_in(language: type[Sentences]) -> list[str]:
    """Return the names of all sentences of a language, in their order."""
    return [name for name in vars(language) if not name.startswith("_")]


ENGLISH: Final = Sentences()

# Chooses a sentence and fills in its values, such as `lambda t: t.file_cut.format(name=name)`.
Explain = Callable[[Sentences], str]
