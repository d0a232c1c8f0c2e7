/* bringup: brings a machine's network up, from link to OPERATIONAL.
 *
 *     cc program.c -lbringup_c                                   (shared)
 *     cc program.c libbringup_c.a -lgcc_s -lpthread -lm -ldl     (static)
 *
 * A handle may be used by any thread, by several at once. bringup_destroy is the exception: no other
 * call on the handle may be going on, or come later. Every function that can fail returns 0 or one of
 * enum bringup_error; bringup_last_error then says in words what happened, and what to do next.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef BRINGUP_H
#define BRINGUP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A network that is being brought up, or is up. */
typedef struct bringup bringup_t;

enum bringup_error {
	BRINGUP_OK = 0,
	BRINGUP_INVALID = 1,     /* an argument makes no sense */
	BRINGUP_PRIVILEGE = 2,   /* a capability is missing: CAP_NET_RAW, CAP_NET_ADMIN, CAP_SYS_TIME */
	BRINGUP_INTERFACE = 3,   /* an interface is not there, or is not Ethernet */
	BRINGUP_OS = 4,          /* the operating system refused */
	BRINGUP_FULL = 5,        /* too much at once */
	BRINGUP_TIMEOUT = 6,     /* not reached in time */
	BRINGUP_NO_ADDRESS = 7,  /* there is no such name, or it has no address: an answer */
	BRINGUP_UNRESOLVED = 8,  /* the name could not be resolved */
	BRINGUP_NO_TIME = 9,     /* UTC is not known */
	BRINGUP_ENDED = 10,      /* the network has been taken down */
	BRINGUP_INTERNAL = 11    /* a mistake in this library */
};

/* The states of a system, in their order and with the numbers of libwebsockets. */
enum bringup_state {
	BRINGUP_STATE_UNKNOWN = 0, /* for bringup_attach: at once */
	BRINGUP_STATE_CONTEXT_CREATED = 1,
	BRINGUP_STATE_PRE_PRIV_DROP = 2,
	BRINGUP_STATE_INITIALIZED = 3,
	BRINGUP_STATE_COLLECTING_STDIN = 4,
	BRINGUP_STATE_IFACE_COLDPLUG = 5, /* a link is up */
	BRINGUP_STATE_DHCP = 6,           /* an interface has an address */
	BRINGUP_STATE_CPD_PRE_TIME = 7,
	BRINGUP_STATE_TIME_VALID = 8,     /* UTC is known, with an error bound */
	BRINGUP_STATE_CPD_POST_TIME = 9,
	BRINGUP_STATE_POLICY_VALID = 10,
	BRINGUP_STATE_REGISTERED = 11,
	BRINGUP_STATE_AUTH1 = 12,
	BRINGUP_STATE_AUTH2 = 13,
	BRINGUP_STATE_ONE_TIME_UPDATES = 14,
	BRINGUP_STATE_OPERATIONAL = 15,   /* the program may start */
	BRINGUP_STATE_POLICY_INVALID = 16,
	BRINGUP_STATE_CONTEXT_DESTROYING = 17,
	BRINGUP_STATE_AWAITING_MODAL_UPDATING = 18,
	BRINGUP_STATE_MODAL_UPDATING = 19
};

enum bringup_flags {
	BRINGUP_KEEP = 1,         /* leave addresses and routes in place at the end */
	BRINGUP_SET_CLOCK = 2,    /* set the machine's clock; otherwise it is only looked at */
	BRINGUP_WITHOUT_TIME = 4  /* be OPERATIONAL without knowing the time */
};

/* What is wanted. Zero the rest: all of it has a default. */
struct bringup_options {
	const char *const *interfaces; /* names, the preferred one first, then NULL; or NULL for none */
	const char *const *dns;        /* DNS servers, "192.0.2.1" or "192.0.2.1:53" or "[2001:db8::1]:53", then NULL */
	const char *const *ntp;        /* NTP servers, likewise, or their names, then NULL */
	const char *hostname;          /* to be told to DHCP servers, or NULL */
	unsigned flags;                /* of enum bringup_flags */
};

/* An address of a name. */
struct bringup_address {
	uint8_t family;     /* 4 or 6 */
	uint8_t octets[16]; /* the first 4, or all, in network order */
};

/* UTC, as far as it is known. */
struct bringup_time {
	int64_t unix_ns;         /* the best guess, nanoseconds since 1970-01-01 */
	uint64_t error_ns;       /* how far off that may be */
	int64_t clock_offset_ns; /* what must be added to the machine's clock */
	int confirmed;           /* whether a second server agrees */
};

/* Called once: with 0 when the state is reached, with BRINGUP_ENDED if it is not before the end. On
 * the network's thread, or on the one that destroys it; it must not block, wait or destroy. */
typedef void bringup_callback(int error, void *opaque);

/* Begins to bring a network up, on a thread of its own. `options` may be NULL. */
int bringup_create(const struct bringup_options *options, bringup_t **out);

/* Has a callback run when `state` is reached, or at once if it has been. */
int bringup_attach(const bringup_t *network, int state, bringup_callback *callback, void *opaque);

/* Waits until `state` is reached; for ever if `timeout_ms` is negative. */
int bringup_wait(const bringup_t *network, int state, int timeout_ms);

/* The state, of enum bringup_state. */
int bringup_state(const bringup_t *network);

/* Its name, without a prefix; NULL for a number that is none. */
const char *bringup_state_name(int state);

/* The addresses of a name, in the order in which they are to be tried. `count` says how many there is
 * room for, and afterwards how many there are; never more. */
int bringup_resolve(const bringup_t *network, const char *name, int timeout_ms,
		    struct bringup_address *addresses, size_t *count);

/* UTC with its error bound. BRINGUP_NO_TIME while it is not known. */
int bringup_time(const bringup_t *network, struct bringup_time *out);

/* Takes down what was brought up, tells every callback that is left, and frees the handle. NULL is
 * fine. */
void bringup_destroy(bringup_t *network);

/* What the last failure on this thread was, as a sentence. Valid until the next failure on it. */
const char *bringup_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
