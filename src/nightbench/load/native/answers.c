/* The usual answer of a server, taken apart: HTTP 200, chunked, server-sent events of OpenAI's
 * shape, whole and without a fault.
 *
 * Whatever is in any way another is left to Python (interpret.py), which reads every answer and
 * takes tens of times as long; for the usual one both say the same
 * (tests/unit/load/test_outcomes.py).
 *
 * No Python.h: one build serves every Python. answers.py mirrors `struct answer`.
 */
#include "answers_event.h"
#include "answers_http.h"

enum { REASON_BYTES = 24 };
/* Where Python looks whether there are too many events, or too many values in one. */
enum { MOST_EVENTS = 1000000, MOST_EVENT_BYTES = 1000000 };

/* What one answer said. Counts that it did not say are NONE. */
struct answer {
    int64_t chunks; /* of output; UNUSUAL: Python has to read this answer */
    int64_t first_answer, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
    int64_t counted_at; /* chunks when completion_tokens were last said */
    int64_t body_bytes;
    char finish_reason[REASON_BYTES];
};

/* Which source this was built of: another one's library is refused. */
uint32_t answers_source(void)
{
    return SOURCE;
}

/* An event of output. Most events of a stream differ from it in nothing but its text. */
struct model {
    const uint8_t *begin, *text_begin, *text_end, *end;
    int answers;
};

struct stream {
    struct answer *answer;
    struct reads *reads;
    int32_t *chunk_reads;
    const uint8_t *body, *end;
    int64_t read; /* the one that holds the end of the last chunk */
    struct model model;
    int done;
};

static void add_chunk(struct stream *s, const uint8_t *end, int answers)
{
    struct answer *a = s->answer;
    while (s->reads->body_ends[s->read] < end - s->body)
        s->read++;
    if (answers && a->first_answer == NONE)
        a->first_answer = a->chunks;
    s->chunk_reads[a->chunks++] = (int32_t)s->read;
}

static int is_same(const uint8_t *at, const uint8_t *end, const uint8_t *begin, int64_t size)
{
    return end - at >= size && memcmp(at, begin, (size_t)size) == 0;
}

/* Behind the event at `at`, where it is as the model but for its text; NULL where it is not. */
static const uint8_t *read_alike(const uint8_t *at, struct stream *s)
{
    const struct model *m = &s->model;
    if (m->begin == NULL)
        return NULL;
    int64_t before = m->text_begin - m->begin, after = m->end - m->text_end;
    if (!is_same(at, s->end, m->begin, before))
        return NULL;
    const uint8_t *text = at + before, *end = string_end(text);
    if (end == NULL || end - text == 2 || !is_same(end, s->end, m->text_end, after))
        return NULL;
    add_chunk(s, end + after, m->answers);
    return end + after;
}

/* A count grows while an answer does: none that is smaller later erases it. */
static void grow_to(int64_t *count, int64_t said)
{
    if (said > *count)
        *count = said;
}

/* The event whose JSON begins at `at`: what is behind it, or NULL. */
static const uint8_t *read_event(const uint8_t *at, struct stream *s)
{
    struct answer *a = s->answer;
    const uint8_t *begin = at;
    struct event e = {.prompt_tokens = NONE, .cached_tokens = NONE, .completion_tokens = NONE,
                      .reasoning_tokens = NONE};
    at = object_end(at, take_field, &e, 0);
    if (at == NULL || at[0] != '\n' || at[1] != '\n' || e.finish_reason_size >= REASON_BYTES)
        return NULL;
    if (!(e.seen & 1u << CHOICES))
        return NULL;
    grow_to(&a->prompt_tokens, e.prompt_tokens);
    grow_to(&a->cached_tokens, e.cached_tokens);
    grow_to(&a->completion_tokens, e.completion_tokens);
    grow_to(&a->reasoning_tokens, e.reasoning_tokens);
    if (e.completion_tokens != NONE)
        a->counted_at = a->chunks;
    if (e.finish_reason_size) {
        memset(a->finish_reason, 0, REASON_BYTES);
        memcpy(a->finish_reason, e.finish_reason, (size_t)e.finish_reason_size);
    }
    int answers = e.delta_members ? e.content : e.text;
    if (answers || (e.delta_members && e.thought)) {
        if (e.completion_tokens != NONE)
            return NULL; /* it says how many tokens a chunk held */
        add_chunk(s, at + 2, answers);
        if (!e.finish_reason_size && !e.usage)
            s->model = (struct model){begin, e.text_begin, e.text_end, at + 2, answers};
    }
    return at + 2;
}

static const uint8_t *read_done(const uint8_t *at, struct stream *s)
{
    at = word_end(at, "[DONE]\n\n");
    s->done |= at != NULL;
    return at;
}

static int read_events(struct stream *s)
{
    const uint8_t *at = s->body, *next;
    int64_t events = 0;
    while (at != NULL && at < s->end) {
        const uint8_t *data = word_end(at, "data: ");
        if (data == NULL || ++events > MOST_EVENTS)
            return 0;
        if ((next = read_alike(data, s)) == NULL && (next = read_done(data, s)) == NULL)
            next = read_event(data, s);
        if (next != NULL && next - data > MOST_EVENT_BYTES)
            return 0;
        at = next;
        if (s->done)
            break;
    }
    struct answer *a = s->answer;
    return at == s->end &&
           (a->finish_reason[0] || (s->done && (a->chunks || a->completion_tokens > 0)));
}

static void read_answer(const uint8_t *data, int64_t size, struct reads *reads, uint8_t *body,
                        struct answer *answer, int32_t *chunk_reads)
{
    *answer = (struct answer){0, NONE, NONE, NONE, NONE, NONE, 0, 0, {0}};
    const uint8_t *begin = read_head(data, data + size);
    int64_t filled = begin ? read_body(data, begin, data + size, body, reads) : UNUSUAL;
    if (filled >= 0) {
        body[filled] = 0;
        answer->body_bytes = filled;
        struct stream s = {answer, reads, chunk_reads, body, body + filled, 0, {0}, 0};
        if (read_events(&s))
            return;
    }
    answer->chunks = UNUSUAL;
}

/* Takes `count` answers apart: answer i has the `sizes[i]` bytes of `block` from `begins[i]` on,
 * which came in `reads[i]` reads; their lengths follow each other in `lengths`. The read that each
 * chunk of output was whole with, counted within its answer, goes to `chunk_reads`, one answer's
 * after another's. `body` and `body_ends` are room for the largest answer's body and a NUL, and for
 * the most reads. Returns how many chunks there are. */
int64_t answers_read(const uint8_t *block, int64_t count, const int64_t *begins,
                     const int64_t *sizes, const int64_t *reads, const uint32_t *lengths,
                     uint8_t *body, int64_t *body_ends, struct answer *answers,
                     int32_t *chunk_reads)
{
    int64_t chunks = 0;
    for (int64_t i = 0; i < count; i++) {
        struct reads r = {lengths, body_ends, reads[i], 0, 0};
        read_answer(block + begins[i], sizes[i], &r, body, answers + i, chunk_reads + chunks);
        chunks += answers[i].chunks > 0 ? answers[i].chunks : 0;
        lengths += reads[i];
    }
    return chunks;
}
