/* c-ares and getaddrinfo(3) behind a few functions, one for each thing that is measured. */
#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t allocations;

static void *counted_malloc(size_t size) {
    allocations++;
    return malloc(size);
}

static void *counted_realloc(void *block, size_t size) {
    allocations++;
    return realloc(block, size);
}

/* How often c-ares has allocated so far. */
uint64_t bench_ares_allocations(void) { return allocations; }

void bench_ares_init(void) {
    if (ares_library_init_mem(ARES_LIB_INIT_ALL, counted_malloc, free, counted_realloc) != ARES_SUCCESS)
        abort();
}

/* Reads a response to its addresses; how many, or -1. */
int bench_ares_parse(const unsigned char *bytes, int length, struct in_addr *out, int room) {
    struct ares_addrttl found[32];
    int count = room < 32 ? room : 32;
    int status = ares_parse_a_reply(bytes, length, NULL, found, &count);
    if (status == ARES_ENODATA)
        return 0;
    if (status != ARES_SUCCESS)
        return -1;
    for (int n = 0; n < count; n++)
        out[n] = found[n].ipaddr;
    return count;
}

/* Writes a query for an address, with EDNS; its length. */
int bench_ares_query(const char *name, unsigned short id) {
    unsigned char *bytes;
    int length;
    if (ares_create_query(name, ns_c_in, ns_t_a, id, 1, &bytes, &length, 1232) != ARES_SUCCESS)
        abort();
    ares_free_string(bytes);
    return length;
}

struct load {
    ares_channel channel;
    int both, at_once, running, next, ended, total;
};

static void done(void *of, int status, int timeouts, unsigned char *bytes, int length) {
    struct load *load = of;
    struct in_addr found[8];
    (void)timeouts;
    if (status != ARES_SUCCESS || bench_ares_parse(bytes, length, found, 8) != 1)
        abort();
    load->running--;
    load->ended++;
}

static void done_both(void *of, int status, int timeouts, struct ares_addrinfo *list) {
    struct load *load = of;
    int found = 0;
    (void)timeouts;
    if (status != ARES_SUCCESS)
        abort();
    for (struct ares_addrinfo_node *node = list->nodes; node; node = node->ai_next)
        found++;
    if (found != 2)
        abort();
    ares_freeaddrinfo(list);
    load->running--;
    load->ended++;
}

static void start(struct load *load) {
    while (load->running < load->at_once && load->next < load->total) {
        char name[64];
        snprintf(name, sizeof name, "n%d.bench.example.", load->next);
        load->running++;
        load->next++;
        if (load->both) {
            struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC};
            ares_getaddrinfo(load->channel, name, NULL, &hints, done_both, load);
        } else {
            ares_query(load->channel, name, ns_c_in, ns_t_a, done, load);
        }
    }
}

/* A channel with one server, "ADDRESS:PORT". */
struct load *bench_ares_channel(const char *server) {
    struct load *load = calloc(1, sizeof *load);
    struct ares_options options = {.timeout = 500, .tries = 6, .lookups = "b"};
    int which = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS;
    if (ares_init_options(&load->channel, &options, which) != ARES_SUCCESS ||
        ares_set_servers_ports_csv(load->channel, server) != ARES_SUCCESS)
        abort();
    return load;
}

/* Looks up the addresses of both families, sorted, or one of IPv4. */
void bench_ares_lookups(struct load *load, int both, int at_once, int total) {
    load->both = both;
    load->at_once = at_once;
    load->total = total;
    start(load);
    while (load->ended < total) {
        ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
        struct pollfd fds[ARES_GETSOCK_MAXNUM];
        int mask = ares_getsock(load->channel, sockets, ARES_GETSOCK_MAXNUM), count = 0;
        for (int n = 0; n < ARES_GETSOCK_MAXNUM; n++) {
            short events = (ARES_GETSOCK_READABLE(mask, n) ? POLLIN : 0) |
                           (ARES_GETSOCK_WRITABLE(mask, n) ? POLLOUT : 0);
            if (events)
                fds[count++] = (struct pollfd){.fd = sockets[n], .events = events};
        }
        struct timeval wait, *until = ares_timeout(load->channel, NULL, &wait);
        poll(fds, (nfds_t)count, until ? (int)(until->tv_sec * 1000 + until->tv_usec / 1000) + 1 : 1000);
        for (int n = 0; n < count; n++)
            if (fds[n].revents)
                ares_process_fd(load->channel, fds[n].revents & POLLIN ? fds[n].fd : ARES_SOCKET_BAD,
                                fds[n].revents & POLLOUT ? fds[n].fd : ARES_SOCKET_BAD);
        ares_process_fd(load->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        start(load);
    }
}

void bench_ares_close(struct load *load) {
    ares_destroy(load->channel);
    free(load);
}

/* getaddrinfo blocks, so there are as many threads as there are to be lookups at once. */

static struct sockaddr_in server;
static atomic_int next, found;
static int wanted, family;
static atomic_ullong cpu_ns;

static void *worker(void *unused) {
    struct timespec time;
    (void)unused;
    /* The C library keeps this state for each thread, and uses it as it is set here. */
    if (res_init() != 0)
        return NULL;
    _res.nscount = 1;
    _res.nsaddr_list[0] = server;
    for (int n; (n = atomic_fetch_add(&next, 1)) < wanted;) {
        char name[64];
        struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list;
        snprintf(name, sizeof name, "n%d.bench.example.", n);
        if (getaddrinfo(name, NULL, &hints, &list) == 0) {
            atomic_fetch_add(&found, 1);
            freeaddrinfo(list);
        }
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    atomic_fetch_add(&cpu_ns, (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec);
    return NULL;
}

/* How many names were found; the CPU time of all threads goes to `spent`, nanoseconds. */
int bench_getaddrinfo(unsigned short port, int both, int threads, int total, uint64_t *spent) {
    pthread_t ids[256];
    if (threads > 256)
        abort();
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    wanted = total;
    family = both ? AF_UNSPEC : AF_INET;
    atomic_store(&next, 0);
    atomic_store(&found, 0);
    atomic_store(&cpu_ns, 0);
    for (int n = 0; n < threads; n++)
        if (pthread_create(&ids[n], NULL, worker, NULL) != 0)
            abort();
    for (int n = 0; n < threads; n++)
        pthread_join(ids[n], NULL);
    *spent = atomic_load(&cpu_ns);
    return atomic_load(&found);
}
