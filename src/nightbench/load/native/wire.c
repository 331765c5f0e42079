/* The load generator's innermost loop: wait for arrivals, read, stamp, store.
 *
 * Python hands a socket over once it knows that a chunked answer is on its way, and hears of it
 * again where the answer may be over or the socket failed. Everything else stays in Python
 * (connection.py), which works without this file too, at half as much processor time again.
 *
 * No Python.h: one build serves every Python. wire_loop.py mirrors the structs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { READ_BYTES = 4096, MARK_BYTES = 36, OVERLAP_BYTES = 24, MOST_ARRIVALS = 256, SLEPT_NS = 50000 };

/* Every read of one answer, in the layout of the raw record (rawlog.py). */
struct reads {
    int64_t count, room;
    int64_t size, data_room;
    int64_t most; /* bytes that are kept, each read counted with its marks: no room beyond them */
    int64_t *stamps; /* two a read: seconds and nanoseconds of CLOCK_REALTIME; zeros: none */
    int64_t *times;
    int64_t *floors;
    uint32_t *lengths;
    uint8_t *data;
};

struct wire {
    int32_t epoll_fd, fds;
    struct reads **of_fd; /* handed over sockets; NULL: Python's own */
    int64_t all_seen_ns;  /* when a poll last left nothing waiting */
};

/* What Python has to look at. mask: of epoll; 0: bytes were read, the answer may be over;
 * negative: the error number of a failed read, EMSGSIZE of an answer that has got too large. */
struct event {
    int32_t fd, mask;
};

struct poll {
    int64_t woke_ns, floor_ns, arrived;
    struct event events[MOST_ARRIVALS];
};

/* Which source this was built of: another one's library is refused. */
uint32_t wire_source(void)
{
    return SOURCE;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int grow(void **block, int64_t bytes)
{
    void *grown = realloc(*block, (size_t)bytes);
    if (grown != NULL)
        *block = grown;
    return grown != NULL;
}

static int64_t at_most(int64_t wanted, int64_t most)
{
    return wanted < most ? wanted : most;
}

/* Room for a read: 0, or an error number. Only where there is none yet is looked whether there may
 * be more: an answer within its limit costs nothing for having one. */
static int make_room(struct reads *r, int64_t bytes)
{
    if (r->size + bytes > r->data_room) {
        int64_t room = at_most(2 * r->data_room + bytes, r->most + READ_BYTES);
        if (r->size + bytes > room)
            return EMSGSIZE;
        if (!grow((void **)&r->data, room))
            return ENOMEM;
        r->data_room = room;
    }
    if (r->count == r->room) {
        int64_t room = at_most(r->room ? 2 * r->room : 32, r->most / MARK_BYTES + 1);
        if (r->count >= room)
            return EMSGSIZE;
        if (!grow((void **)&r->stamps, 16 * room) || !grow((void **)&r->times, 8 * room) ||
            !grow((void **)&r->floors, 8 * room) || !grow((void **)&r->lengths, 4 * room))
            return ENOMEM;
        r->room = room;
    }
    return 0;
}

static void mark(struct reads *r, const void *stamp, int64_t at_ns, int64_t floor_ns,
                 uint32_t length)
{
    memcpy(r->stamps + 2 * r->count, stamp, 16);
    r->times[r->count] = at_ns;
    r->floors[r->count] = floor_ns;
    r->lengths[r->count++] = length;
    r->size += length;
}

/* A read that Python did. Returns an error number: EMSGSIZE where the answer has got too large. */
int wire_add(struct reads *r, const uint8_t *data, uint32_t length, const void *stamp,
             int64_t at_ns, int64_t floor_ns)
{
    int problem = r->size > r->most ? EMSGSIZE : make_room(r, length);
    if (problem)
        return problem;
    memcpy(r->data + r->size, data, length);
    mark(r, stamp, at_ns, floor_ns, length);
    return 0;
}

/* Keep the first reads, of so many bytes at most, and give the room of the others back. */
void wire_cut(struct reads *r, int64_t bytes)
{
    int64_t count = 0, size = 0;
    while (count < r->count && size + r->lengths[count] <= bytes)
        size += r->lengths[count++];
    r->count = r->room = count;
    r->size = r->data_room = size;
    if (count) { /* what cannot be given back is kept: it is enough */
        grow((void **)&r->data, size);
        grow((void **)&r->stamps, 16 * count);
        grow((void **)&r->times, 8 * count);
        grow((void **)&r->floors, 8 * count);
        grow((void **)&r->lengths, 4 * count);
    }
}

void wire_free(struct reads *r)
{
    free(r->stamps);
    free(r->times);
    free(r->floors);
    free(r->lengths);
    free(r->data);
    memset(r, 0, sizeof *r);
}

/* From now on what arrives at `fd` goes into `r`, until NULL gives the socket back to Python.
 * Returns 0 where there is no memory. */
int wire_hand_over(struct wire *w, int32_t fd, struct reads *r)
{
    if (fd >= w->fds) {
        int32_t fds = 2 * fd + 64;
        if (!grow((void **)&w->of_fd, (int64_t)sizeof(void *) * fds))
            return 0;
        memset(w->of_fd + w->fds, 0, sizeof(void *) * (size_t)(fds - w->fds));
        w->fds = fds;
    }
    w->of_fd[fd] = r;
    return 1;
}

static int has(const uint8_t *from, const uint8_t *end, const char *wanted)
{
    return memmem(from, (size_t)(end - from), wanted, strlen(wanted)) != NULL;
}

/* A finish reason that is a text. */
static int has_finished(const uint8_t *from, const uint8_t *end)
{
    static const char key[] = "finish_reason\":";
    const size_t size = sizeof key - 1;
    const uint8_t *at = memmem(from, (size_t)(end - from), key, size);
    for (; at != NULL; at = memmem(at, (size_t)(end - at), key, size)) {
        for (at += size; at < end && (*at == ' ' || *at == '\t');)
            at++;
        if (at < end && *at == '"')
            return 1;
    }
    return 0;
}

/* Whether the last read may hold the end of the response, or of the answer in it (ending.py has the
 * same). Some of what came before is looked at too: the end may be cut across two reads. */
static int may_end(const struct reads *r, int64_t length)
{
    const uint8_t *end = r->data + r->size, *from = end - length;
    from -= from - r->data < OVERLAP_BYTES ? from - r->data : OVERLAP_BYTES;
    return length < 4 || memcmp(end - 4, "\r\n\r\n", 4) == 0 || has(from, end, "DONE]") ||
           has(from, end, "0\r\n\r\n") || has_finished(from, end);
}

static void stamp_of(struct msghdr *message, int64_t *stamp)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
            memcpy(stamp, CMSG_DATA(c), 16);
}

/* One read. Returns whether Python has to look, and what at. */
static int take(int32_t fd, struct reads *r, int64_t floor_ns, int32_t *mask)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16)];
    } control;
    int64_t stamp[2] = {0, 0};
    *mask = -make_room(r, READ_BYTES);
    if (*mask)
        return 1;
    uint8_t *into = r->data + r->size;
    struct iovec piece = {into, READ_BYTES};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t length = recvmsg(fd, &message, 0);
    if (length <= 0) {
        *mask = length == 0 ? EPOLLIN : -errno; /* at the end Python reads the end once more */
        return length == 0 || (errno != EAGAIN && errno != EINTR);
    }
    int64_t at_ns = now_ns();
    stamp_of(&message, stamp);
    mark(r, stamp, at_ns, floor_ns, (uint32_t)length);
    *mask = 0;
    return may_end(r, length);
}

/* Wait up to `wait_ms` and take what has arrived; returns how many events Python has to look at, or
 * a negative error number.
 *
 * Where this poll does not sleep, nothing that it finds arrived before the last one that left
 * nothing waiting: the floor of its reads. A full one may have left something. */
int wire_poll(struct wire *w, int32_t wait_ms, struct poll *p)
{
    struct epoll_event ready[MOST_ARRIVALS];
    int64_t before_ns = wait_ms ? now_ns() : 0;
    int arrived = epoll_wait(w->epoll_fd, ready, MOST_ARRIVALS, wait_ms);
    int kept = 0;
    if (arrived < 0 && errno != EINTR)
        return -errno;
    if (arrived < 0)
        arrived = 0;
    p->arrived = arrived;
    p->woke_ns = now_ns();
    p->floor_ns = !wait_ms || p->woke_ns - before_ns < SLEPT_NS ? w->all_seen_ns : 0;
    if (arrived < MOST_ARRIVALS)
        w->all_seen_ns = p->woke_ns;
    for (int i = 0; i < arrived; i++) {
        int32_t fd = ready[i].data.fd, mask = (int32_t)ready[i].events;
        struct reads *r = fd < w->fds ? w->of_fd[fd] : NULL;
        if (r == NULL || mask != EPOLLIN || take(fd, r, p->floor_ns, &mask))
            p->events[kept++] = (struct event){fd, mask};
    }
    return kept;
}
