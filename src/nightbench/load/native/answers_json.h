/* JSON as strictly as RFC 8259 has it: what is behind a value, or NULL. Text is UTF-8, and behind
 * it stands a NUL, which stops every loop. */
#include <stdint.h>
#include <string.h>

enum { MOST_DEPTH = 32, MOST_DIGITS = 300 };

static int64_t utf8_size(const uint8_t *at)
{
    uint8_t c = at[0];
    int64_t more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (c < 0xC2 || c > 0xF4 || at[1] < low || at[1] > high)
        return 0;
    for (int64_t i = 2; i <= more; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return more + 1;
}

static const uint8_t *spaces(const uint8_t *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

static const uint8_t *escape(const uint8_t *at)
{
    if (*at != 'u')
        return *at && strchr("\"\\/bfnrt", *at) ? at + 1 : NULL;
    for (int i = 1; i <= 4; i++)
        if (!at[i] || !strchr("0123456789abcdefABCDEF", at[i]))
            return NULL;
    return at + 5;
}

/* Behind the string that begins at `at`; NULL where there is none. */
static const uint8_t *string_end(const uint8_t *at)
{
    if (*at++ != '"')
        return NULL;
    while (at != NULL && *at != '"') {
        if (*at == '\\') {
            at = escape(at + 1);
        } else if (*at >= 0x80) {
            int64_t size = utf8_size(at);
            at = size ? at + size : NULL;
        } else {
            at = *at < ' ' ? NULL : at + 1;
        }
    }
    return at == NULL ? NULL : at + 1;
}

static const uint8_t *digits_end(const uint8_t *at, int64_t most)
{
    const uint8_t *first = at;
    while (*at >= '0' && *at <= '9')
        at++;
    return at > first && at - first <= most ? at : NULL;
}

static const uint8_t *number_end(const uint8_t *at)
{
    at += *at == '-';
    at = *at == '0' ? at + 1 : digits_end(at, MOST_DIGITS);
    if (at != NULL && *at == '.')
        at = digits_end(at + 1, MOST_DIGITS);
    if (at != NULL && (*at | 32) == 'e')
        at = digits_end(at + 1 + (at[1] == '+' || at[1] == '-'), MOST_DIGITS);
    return at;
}

static const uint8_t *word_end(const uint8_t *at, const char *word)
{
    for (; *word; word++, at++)
        if (*at != (uint8_t)*word)
            return NULL;
    return at;
}

/* Takes the value of a member; returns what is behind it, or NULL. `into` is the taker's own. */
typedef const uint8_t *take_member(const uint8_t *key, int64_t size, const uint8_t *value,
                                   void *into, int depth);

static const uint8_t *value_end(const uint8_t *at, int depth);

static const uint8_t *skip_member(const uint8_t *key, int64_t size, const uint8_t *value,
                                  void *into, int depth)
{
    (void)key, (void)size, (void)into;
    return value_end(value, depth);
}

/* Behind the object that begins at `at`, each member of which was given to `take`. */
static const uint8_t *object_end(const uint8_t *at, take_member *take, void *into, int depth)
{
    if (*at != '{' || depth > MOST_DEPTH)
        return NULL;
    at = spaces(at + 1);
    if (*at == '}')
        return at + 1;
    for (;; at = spaces(at + 1)) {
        const uint8_t *key = at + 1, *end = string_end(at);
        if (end == NULL || *(at = spaces(end)) != ':')
            return NULL;
        if (take != skip_member && memchr(key, '\\', (size_t)(end - key)))
            return NULL; /* another spelling of a key that may be known */
        at = take(key, end - 1 - key, spaces(at + 1), into, depth + 1);
        if (at == NULL || *(at = spaces(at)) != ',')
            return at != NULL && *at == '}' ? at + 1 : NULL;
    }
}

static const uint8_t *array_end(const uint8_t *at, int depth)
{
    if (depth > MOST_DEPTH)
        return NULL;
    at = spaces(at + 1);
    if (*at == ']')
        return at + 1;
    for (;; at = spaces(at + 1)) {
        at = value_end(at, depth + 1);
        if (at == NULL || *(at = spaces(at)) != ',')
            return at != NULL && *at == ']' ? at + 1 : NULL;
    }
}

static const uint8_t *value_end(const uint8_t *at, int depth)
{
    switch (*at) {
    case '"':
        return string_end(at);
    case '{':
        return object_end(at, skip_member, NULL, depth);
    case '[':
        return array_end(at, depth);
    case 't':
        return word_end(at, "true");
    case 'f':
        return word_end(at, "false");
    case 'n':
        return word_end(at, "null");
    default:
        return number_end(at);
    }
}
