/* libuv behind a few functions, one for each thing that is measured. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

extern void bringup_bench_take(void *sink, uint64_t stamp);

/* Attach: a mutex, a list and an async handle, as libuv's own documentation has it. */

struct message {
    struct message *next;
    uint64_t stamp;
};

struct queue {
    uv_loop_t loop;
    uv_async_t async;
    uv_mutex_t lock;
    struct message *head, **tail;
    void *sink;
    uint64_t left;
};

static void drain(uv_async_t *async) {
    struct queue *q = async->data;
    uv_mutex_lock(&q->lock);
    struct message *m = q->head;
    q->head = NULL;
    q->tail = &q->head;
    uv_mutex_unlock(&q->lock);
    while (m) {
        struct message *next = m->next;
        bringup_bench_take(q->sink, m->stamp);
        free(m);
        m = next;
        if (--q->left == 0)
            uv_stop(&q->loop);
    }
}

struct queue *bench_uv_queue(void) {
    struct queue *q = malloc(sizeof *q);
    uv_loop_init(&q->loop);
    uv_mutex_init(&q->lock);
    uv_async_init(&q->loop, &q->async, drain);
    q->async.data = q;
    q->head = NULL;
    q->tail = &q->head;
    return q;
}

void bench_uv_post(struct queue *q, uint64_t stamp) {
    struct message *m = malloc(sizeof *m);
    m->next = NULL;
    m->stamp = stamp;
    uv_mutex_lock(&q->lock);
    *q->tail = m;
    q->tail = &m->next;
    uv_mutex_unlock(&q->lock);
    uv_async_send(&q->async);
}

void bench_uv_run(struct queue *q, void *sink, uint64_t total) {
    q->sink = sink;
    q->left = total;
    uv_run(&q->loop, UV_RUN_DEFAULT);
}

/* Descriptors: eventfds that are read when they are readable. */

struct fds {
    uv_loop_t loop;
    uint64_t seen;
    uv_poll_t polls[];
};

static void readable(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    uint64_t value;
    uv_os_fd_t fd;
    uv_fileno((uv_handle_t *)poll, &fd);
    if (read(fd, &value, 8) == 8)
        ++*(uint64_t *)poll->data;
}

struct fds *bench_uv_fds(const int *fds, int count) {
    struct fds *f = malloc(sizeof *f + count * sizeof(uv_poll_t));
    uv_loop_init(&f->loop);
    f->seen = 0;
    for (int i = 0; i < count; i++) {
        uv_poll_init(&f->loop, &f->polls[i], fds[i]);
        f->polls[i].data = &f->seen;
        uv_poll_start(&f->polls[i], UV_READABLE, readable);
    }
    return f;
}

void bench_uv_turn(struct fds *f) {
    uint64_t before = f->seen;
    while (f->seen == before)
        uv_run(&f->loop, UV_RUN_ONCE);
}

/* Echo: what a UDP socket receives, it sends back. */

struct echo {
    uv_loop_t loop;
    uint64_t left;
    char buffer[2048];
    uv_udp_t sockets[];
};

static void lend(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    (void)size;
    struct echo *e = handle->data;
    *buffer = uv_buf_init(e->buffer, sizeof e->buffer);
}

static void send_back(uv_udp_t *socket, ssize_t length, const uv_buf_t *buffer,
                      const struct sockaddr *from, unsigned flags) {
    (void)flags;
    struct echo *e = socket->data;
    if (length < 0 || !from)
        return;
    uv_buf_t bytes = uv_buf_init(buffer->base, length);
    uv_udp_try_send(socket, &bytes, 1, from);
    if (--e->left == 0)
        uv_stop(&e->loop);
}

struct echo *bench_uv_echo(const int *fds, int count) {
    struct echo *e = malloc(sizeof *e + count * sizeof(uv_udp_t));
    uv_loop_init(&e->loop);
    for (int i = 0; i < count; i++) {
        uv_udp_init(&e->loop, &e->sockets[i]);
        e->sockets[i].data = e;
        uv_udp_open(&e->sockets[i], fds[i]);
        uv_udp_recv_start(&e->sockets[i], lend, send_back);
    }
    return e;
}

void bench_uv_echo_run(struct echo *e, uint64_t total) {
    e->left = total;
    uv_run(&e->loop, UV_RUN_DEFAULT);
}

/* Timers, in milliseconds, which is what libuv has. */

struct timers {
    uv_loop_t loop;
    uint64_t fired;
    int due;
    uv_timer_t timers[];
};

static void fire(uv_timer_t *timer) { ++((struct timers *)timer->data)->fired; }

struct timers *bench_uv_timers(int due, int others, const uint64_t *far_ms) {
    struct timers *t = malloc(sizeof *t + (due + others) * sizeof(uv_timer_t));
    uv_loop_init(&t->loop);
    t->due = due;
    for (int i = 0; i < due + others; i++) {
        uv_timer_init(&t->loop, &t->timers[i]);
        t->timers[i].data = t;
        if (i >= due)
            uv_timer_start(&t->timers[i], fire, far_ms[i - due], 0);
    }
    return t;
}

void bench_uv_arm_and_cancel(struct timers *t, uint64_t ms) {
    uv_timer_start(&t->timers[0], fire, ms, 0);
    uv_timer_stop(&t->timers[0]);
}

void bench_uv_arm_and_fire(struct timers *t) {
    t->fired = 0;
    uv_update_time(&t->loop);
    for (int i = 0; i < t->due; i++)
        uv_timer_start(&t->timers[i], fire, 2 + i / 1000, 0);
    while (t->fired < (uint64_t)t->due)
        uv_run(&t->loop, UV_RUN_ONCE);
}
