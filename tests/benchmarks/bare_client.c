/* The barest load generator there can be: what these cores, this kernel and the server allow.
 *
 *     bare_client PORT STREAMS RATE REQUESTS TOKENS
 *
 * Connections that are open before it begins, one prebuilt request, one epoll loop; it stamps by the
 * kernel, as nightbench does, and keeps a request's ttft and tpot. No parser, no record, no timeouts.
 * RATE 0: a closed loop, whose slots are filled one every 50 us, as nightbench fills them. Else that
 * many a second, at even distances, on as many of STREAMS connections as are idle.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { AT_ONCE = 256, READ_BYTES = 4096, SECOND = 1000000000 };

struct stream {
    int fd;
    int64_t sent_ns, first_ns, last_ns;
};

static struct stream *streams;
static int *idle, idle_count, epoll_fd, tokens, sent, done, wanted;
static char request[1024];
static int request_bytes;
static double *ttft_ms, tpot_sum_ms;
static int64_t realtime_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */

static void check(int fine, const char *what)
{
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * (int64_t)SECOND + now.tv_nsec;
}

static void build_request(int port)
{
    char body[512];
    int bytes = snprintf(body, sizeof body,
                         "{\"model\":\"truth\",\"messages\":[{\"role\":\"user\",\"content\":\"What "
                         "is the weather like?\"}],\"max_tokens\":%d,\"stream\":true,"
                         "\"stream_options\":{\"include_usage\":true}}",
                         tokens);
    request_bytes = snprintf(request, sizeof request,
                             "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                             port, bytes, body);
}

static void connect_stream(struct stream *s, int port, int position)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    check(connect(s->fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    int on = 1;
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)position};
    check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event) == 0, "epoll_ctl");
}

static void send_request(struct stream *s)
{
    s->first_ns = s->last_ns = 0;
    s->sent_ns = clock_ns(CLOCK_MONOTONIC);
    check(send(s->fd, request, (size_t)request_bytes, 0) == request_bytes, "send");
    sent++;
}

static int64_t stamp_of(struct msghdr *message)
{
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    check(control != NULL && control->cmsg_type == SCM_TIMESTAMPNS, "no kernel stamp");
    struct timespec at;
    memcpy(&at, CMSG_DATA(control), sizeof at);
    return at.tv_sec * (int64_t)SECOND + at.tv_nsec - realtime_ns;
}

/* Whether a delta of some text is in it; the first delta may be of none. */
static int holds_text(const char *bytes, ssize_t length)
{
    static const char key[] = "\"content\":";
    const char *end = bytes + length, *at = memmem(bytes, (size_t)length, key, sizeof key - 1);
    if (at == NULL)
        return 0;
    for (at += sizeof key - 1; at < end && *at == ' ';)
        at++;
    return end - at > 1 && at[0] == '"' && at[1] != '"';
}

/* One read; returns whether the answer is over. */
static int take(struct stream *s)
{
    char bytes[READ_BYTES];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(16)];
    } control;
    struct iovec piece = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t length = recvmsg(s->fd, &message, 0);
    check(length > 0, "recvmsg");
    int64_t at_ns = stamp_of(&message);
    if (holds_text(bytes, length)) {
        s->last_ns = at_ns;
        if (s->first_ns == 0)
            s->first_ns = at_ns;
    }
    if (length < 5 || memcmp(bytes + length - 5, "0\r\n\r\n", 5) != 0)
        return 0;
    ttft_ms[done++] = (double)(s->first_ns - s->sent_ns) / 1e6;
    tpot_sum_ms += (double)(s->last_ns - s->first_ns) / 1e6 / (tokens - 1);
    return 1;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Send what is due; returns how long nothing more will be. */
static int64_t send_due(int64_t start_ns, int due, double gap_ns)
{
    while (sent < due && idle_count) {
        int64_t wait_ns = start_ns + (int64_t)(sent * gap_ns) - clock_ns(CLOCK_MONOTONIC);
        if (wait_ns > 0)
            return wait_ns;
        send_request(&streams[idle[--idle_count]]);
    }
    return SECOND / 10;
}

/* As nightbench fills its slots (drivers.py). */
static double apart_ns(int slots)
{
    double gap_ns = 30e6 / slots;
    return gap_ns < 50e3 ? 50e3 : gap_ns > 150e3 ? 150e3 : gap_ns;
}

static void drive(int slots, double rate)
{
    int open_loop = rate > 0, due = open_loop || wanted < slots ? wanted : slots;
    double gap_ns = open_loop ? SECOND / rate : apart_ns(slots);
    int64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    while (done < wanted) {
        struct timespec wait = {0, send_due(start_ns, due, gap_ns)};
        struct epoll_event ready[AT_ONCE];
        int arrived = epoll_pwait2(epoll_fd, ready, AT_ONCE, &wait, NULL);
        for (int i = 0; i < arrived; i++) {
            int position = (int)ready[i].data.u32;
            if (!take(&streams[position]))
                continue;
            if (open_loop)
                idle[idle_count++] = position;
            else if (sent < wanted)
                send_request(&streams[position]);
        }
    }
}

int main(int count, char **values)
{
    check(count == 6, "bare_client PORT STREAMS RATE REQUESTS TOKENS");
    int port = atoi(values[1]), slots = atoi(values[2]);
    wanted = atoi(values[4]), tokens = atoi(values[5]);
    streams = calloc((size_t)slots, sizeof *streams);
    idle = calloc((size_t)slots, sizeof *idle);
    ttft_ms = calloc((size_t)wanted, sizeof *ttft_ms);
    check(streams && idle && ttft_ms, "memory");
    epoll_fd = epoll_create1(0);
    build_request(port);
    for (int i = slots; i-- > 0;) {
        connect_stream(&streams[i], port, i);
        idle[idle_count++] = i;
    }
    usleep(200000); /* for the server to accept them all */
    realtime_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
    drive(slots, atof(values[3]));
    qsort(ttft_ms, (size_t)done, sizeof *ttft_ms, by_size);
    double sum_ms = 0;
    for (int i = 0; i < done; i++)
        sum_ms += ttft_ms[i];
    printf("{\"mean_ttft_ms\": %.4f, \"p99_ttft_ms\": %.4f, \"mean_tpot_ms\": %.5f}\n",
           sum_ms / done, ttft_ms[(int)(0.99 * (done - 1) + 0.5)], tpot_sum_ms / done);
    return 0;
}
