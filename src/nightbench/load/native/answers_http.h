/* The usual HTTP answer: where its body is, and how much of it had come with each read. */
#include <stdint.h>
#include <string.h>

enum { UNUSUAL = -1 };

static int is_named(const uint8_t *name, int64_t size, const char *wanted)
{
    int64_t i = 0;
    for (; i < size && wanted[i]; i++)
        if ((name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]) != (uint8_t)wanted[i])
            return 0;
    return i == size && !wanted[i];
}

static int is_token(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* A line of printable ASCII: where its CRLF begins; NULL for any other. */
static const uint8_t *line_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= ' ' && *at < 127)
        at++;
    return at + 1 < end && at[0] == '\r' && at[1] == '\n' ? at : NULL;
}

/* What the headers say of the body. */
struct head {
    int chunked, events;
};

static int read_header(const uint8_t *at, const uint8_t *end, struct head *head)
{
    const uint8_t *name = at;
    while (at < end && is_token(*at))
        at++;
    int64_t size = at - name;
    if (size == 0 || at == end || *at != ':')
        return 0;
    for (at++; at < end && *at == ' ';)
        at++;
    if (is_named(name, size, "transfer-encoding"))
        return !head->chunked++ && is_named(at, end - at, "chunked");
    if (is_named(name, size, "content-type"))
        return !head->events++ && end - at >= 17 && memcmp(at, "text/event-stream", 17) == 0;
    return !is_named(name, size, "content-length") && !is_named(name, size, "content-encoding") &&
           !is_named(name, size, "upgrade");
}

/* Where the body begins; NULL where the head is not the usual one. */
static const uint8_t *read_head(const uint8_t *at, const uint8_t *end)
{
    struct head head = {0, 0};
    const uint8_t *line = line_end(at, end);
    if (line == NULL || line - at < 13 || memcmp(at, "HTTP/1.1 200 ", 13) != 0)
        return NULL;
    for (at = line + 2; (line = line_end(at, end)) != at; at = line + 2)
        if (line == NULL || !read_header(at, line, &head))
            return NULL;
    return head.chunked && head.events ? at + 2 : NULL;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The reads of one answer: where each ends in it, and how much of the body was there then. */
struct reads {
    const uint32_t *lengths;
    int64_t *body_ends;
    int64_t count, next, end; /* the next one, and where it ends */
};

/* A piece of the body: it ends at `raw` of the answer and at `body` of the body. */
static void mark_reads(struct reads *r, int64_t raw, int64_t body, int64_t size)
{
    while (r->next < r->count && r->end + r->lengths[r->next] < raw) {
        r->end += r->lengths[r->next];
        int64_t missing = raw - r->end;
        r->body_ends[r->next++] = body - (missing < size ? missing : size);
    }
}

/* The body without its chunks, into `body`; its size, or UNUSUAL. */
static int64_t read_body(const uint8_t *data, const uint8_t *at, const uint8_t *end, uint8_t *body,
                         struct reads *r)
{
    int64_t filled = 0;
    for (;;) {
        int64_t size = 0, digits = 0;
        for (; at < end && hex_value(*at) >= 0 && digits < 8; at++, digits++)
            size = size * 16 + hex_value(*at);
        if (digits == 0 || end - at < size + 4 || at[0] != '\r' || at[1] != '\n')
            return UNUSUAL;
        at += 2;
        if (at[size] != '\r' || at[size + 1] != '\n')
            return UNUSUAL;
        memcpy(body + filled, at, (size_t)size);
        filled += size;
        mark_reads(r, at + size - data, filled, size);
        at += size + 2;
        if (size == 0)
            break;
    }
    while (r->next < r->count)
        r->body_ends[r->next++] = filled;
    return at == end ? filled : UNUSUAL;
}
