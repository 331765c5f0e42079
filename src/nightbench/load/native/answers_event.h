/* What an event of a completion stream says, where it is of the usual shape (stream_events.py has
 * all). */
#include "answers_json.h"

enum { NONE = -1, COUNT_DIGITS = 7 };

struct event {
    uint32_t seen; /* keys: said twice, the last one counts in Python */
    int delta_members, content, thought, text, usage;
    int64_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
    const uint8_t *text_begin, *text_end; /* of the last text of output, with its quotes */
    const uint8_t *finish_reason;
    int64_t finish_reason_size;
};

enum key {
    ERROR = 1, USAGE, CHOICES, DELTA, MESSAGE, TEXT, FINISH_REASON, CONTENT, TOOL_CALLS,
    FUNCTION_CALL, REASONING_CONTENT, REASONING, REASONING_DETAILS, THINKING, REFUSAL,
    CHOICE_ERROR, PROMPT_TOKENS, COMPLETION_TOKENS, PROMPT_DETAILS,
    COMPLETION_DETAILS, CACHED_TOKENS, REASONING_TOKENS
};

static int is_key(const uint8_t *key, int64_t size, const char *wanted)
{
    return (size_t)size == strlen(wanted) && memcmp(key, wanted, (size_t)size) == 0;
}

static int first_time(struct event *e, enum key key)
{
    uint32_t bit = 1u << key;
    int first = !(e->seen & bit);
    e->seen |= bit;
    return first;
}

/* null, an empty text or an empty list: what holds no output. */
static const uint8_t *take_empty(struct event *e, enum key key, const uint8_t *value)
{
    if (!first_time(e, key))
        return NULL;
    return word_end(value, *value == '"' ? "\"\"" : *value == '[' ? "[]" : "null");
}

static const uint8_t *take_null(struct event *e, enum key key, const uint8_t *value)
{
    return first_time(e, key) ? word_end(value, "null") : NULL;
}

/* A text or null; `given`: whether there is any text. */
static const uint8_t *take_text(struct event *e, enum key key, const uint8_t *value, int *given)
{
    if (!first_time(e, key))
        return NULL;
    if (*value != '"')
        return word_end(value, "null");
    const uint8_t *end = string_end(value);
    *given = value[1] != '"';
    if (*given) {
        e->text_begin = value;
        e->text_end = end;
    }
    return end;
}

static const uint8_t *take_count(struct event *e, enum key key, const uint8_t *value,
                                 int64_t *count)
{
    if (!first_time(e, key))
        return NULL;
    if (*value == 'n')
        return word_end(value, "null");
    const uint8_t *end = *value == '0' ? value + 1 : digits_end(value, COUNT_DIGITS);
    if (end == NULL || (*end != ',' && *end != '}' && *end != ' '))
        return NULL;
    for (*count = 0; value < end; value++)
        *count = *count * 10 + (*value - '0');
    return end;
}

static const uint8_t *take_prompt_detail(const uint8_t *key, int64_t size, const uint8_t *value,
                                         void *into, int depth)
{
    struct event *e = into;
    return is_key(key, size, "cached_tokens")
               ? take_count(e, CACHED_TOKENS, value, &e->cached_tokens)
               : value_end(value, depth);
}

static const uint8_t *take_completion_detail(const uint8_t *key, int64_t size,
                                             const uint8_t *value, void *into, int depth)
{
    struct event *e = into;
    return is_key(key, size, "reasoning_tokens")
               ? take_count(e, REASONING_TOKENS, value, &e->reasoning_tokens)
               : value_end(value, depth);
}

static const uint8_t *take_details(struct event *e, enum key key, const uint8_t *value,
                                   take_member *take, int depth)
{
    if (!first_time(e, key))
        return NULL;
    return *value == '{' ? object_end(value, take, e, depth) : word_end(value, "null");
}

static const uint8_t *take_usage(const uint8_t *key, int64_t size, const uint8_t *value, void *into,
                                 int depth)
{
    struct event *e = into;
    if (is_key(key, size, "prompt_tokens"))
        return take_count(e, PROMPT_TOKENS, value, &e->prompt_tokens);
    if (is_key(key, size, "completion_tokens"))
        return take_count(e, COMPLETION_TOKENS, value, &e->completion_tokens);
    if (is_key(key, size, "prompt_tokens_details"))
        return take_details(e, PROMPT_DETAILS, value, take_prompt_detail, depth);
    if (is_key(key, size, "completion_tokens_details"))
        return take_details(e, COMPLETION_DETAILS, value, take_completion_detail, depth);
    return value_end(value, depth);
}

static const uint8_t *take_delta(const uint8_t *key, int64_t size, const uint8_t *value, void *into,
                                 int depth)
{
    struct event *e = into;
    int given = 0;
    e->delta_members++;
    if (is_key(key, size, "content"))
        return take_text(e, CONTENT, value, &e->content);
    if (is_key(key, size, "tool_calls") && *value == '[')
        return first_time(e, TOOL_CALLS) ? word_end(value, "[]") : NULL;
    if (is_key(key, size, "tool_calls"))
        return take_null(e, TOOL_CALLS, value);
    if (is_key(key, size, "function_call"))
        return take_null(e, FUNCTION_CALL, value);
    /* What deltas.py knows too, and hardly any server sends. */
    if (is_key(key, size, "reasoning_details"))
        return take_empty(e, REASONING_DETAILS, value);
    if (is_key(key, size, "thinking"))
        return take_empty(e, THINKING, value);
    if (is_key(key, size, "refusal"))
        return take_empty(e, REFUSAL, value);
    int deepseek = is_key(key, size, "reasoning_content");
    if (!deepseek && !is_key(key, size, "reasoning"))
        return value_end(value, depth);
    value = take_text(e, deepseek ? REASONING_CONTENT : REASONING, value, &given);
    e->thought |= given;
    return value;
}

/* Whether there stands this word of small letters, in letters of any size. */
static int is_word(const uint8_t *at, const char *word)
{
    for (; *word; word++, at++)
        if ((*at | 32) != (uint8_t)*word)
            return 0;
    return 1;
}

static const uint8_t *take_finish_reason(struct event *e, const uint8_t *value)
{
    if (!first_time(e, FINISH_REASON))
        return NULL;
    if (*value != '"')
        return word_end(value, "null");
    const uint8_t *end = string_end(value);
    if (end == NULL || memchr(value, '\\', (size_t)(end - value)))
        return NULL;
    if (end - value == 7 && (is_word(value + 1, "error") || is_word(value + 1, "abort")))
        return NULL; /* an answer that failed, or was given up, is Python's */
    e->finish_reason = value + 1;
    e->finish_reason_size = end - value - 2;
    return end;
}

static const uint8_t *take_choice(const uint8_t *key, int64_t size, const uint8_t *value,
                                  void *into, int depth)
{
    struct event *e = into;
    if (is_key(key, size, "delta") && *value == '{')
        return first_time(e, DELTA) ? object_end(value, take_delta, e, depth) : NULL;
    if (is_key(key, size, "delta"))
        return take_null(e, DELTA, value);
    if (is_key(key, size, "message"))
        return take_null(e, MESSAGE, value);
    if (is_key(key, size, "text"))
        return take_text(e, TEXT, value, &e->text);
    if (is_key(key, size, "error"))
        return take_null(e, CHOICE_ERROR, value);
    if (is_key(key, size, "finish_reason"))
        return take_finish_reason(e, value);
    return value_end(value, depth);
}

/* No choice or one: more are Python's. */
static const uint8_t *take_choices(struct event *e, const uint8_t *value, int depth)
{
    if (!first_time(e, CHOICES) || *value != '[')
        return NULL;
    value = spaces(value + 1);
    if (*value == ']')
        return value + 1;
    value = object_end(value, take_choice, e, depth + 1);
    return value != NULL && *(value = spaces(value)) == ']' ? value + 1 : NULL;
}

static const uint8_t *take_field(const uint8_t *key, int64_t size, const uint8_t *value, void *into,
                                 int depth)
{
    struct event *e = into;
    if (is_key(key, size, "error"))
        return take_null(e, ERROR, value);
    if (is_key(key, size, "choices"))
        return take_choices(e, value, depth);
    if (!is_key(key, size, "usage"))
        return value_end(value, depth);
    if (*value != '{')
        return take_null(e, USAGE, value);
    e->usage = 1;
    return first_time(e, USAGE) ? object_end(value, take_usage, e, depth) : NULL;
}
