/* All of the interface: example NAME DNS-SERVER NTP-SERVER [INTERFACE]. */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bringup.h"

static void check(int error, const char *what)
{
	if (error != BRINGUP_OK) {
		fprintf(stderr, "%s: %s\n", what, bringup_last_error());
		exit(1);
	}
}

/* Runs on the network's thread. */
static void reached(int error, void *opaque)
{
	printf("callback: %s\n", error == BRINGUP_OK ? (const char *)opaque : "ended before");
}

/* Any thread may attach, and wait. */
static void *other_thread(void *opaque)
{
	const bringup_t *network = opaque;

	check(bringup_attach(network, BRINGUP_STATE_OPERATIONAL, reached, "operational"), "attach");
	check(bringup_wait(network, BRINGUP_STATE_TIME_VALID, 30000), "wait for TIME_VALID");
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	const char *dns[] = { argv[2], NULL }, *ntp[] = { argv[3], NULL };
	const char *interfaces[] = { argc > 4 ? argv[4] : NULL, NULL };
	const struct bringup_options options = { .dns = dns, .ntp = ntp, .interfaces = interfaces };
	struct bringup_address addresses[8];
	struct bringup_time now;
	size_t count = 8;
	bringup_t *network;
	pthread_t thread;

	check(bringup_create(&options, &network), "create");
	if (pthread_create(&thread, NULL, other_thread, network) != 0)
		return 1;
	check(bringup_wait(network, BRINGUP_STATE_OPERATIONAL, 30000), "wait for OPERATIONAL");
	pthread_join(thread, NULL);
	printf("state: %s\n", bringup_state_name(bringup_state(network)));

	check(bringup_resolve(network, argv[1], 10000, addresses, &count), "resolve");
	for (size_t i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN];
		int family = addresses[i].family == 4 ? AF_INET : AF_INET6;

		printf("address: %s\n", inet_ntop(family, addresses[i].octets, text, sizeof text));
	}
	check(bringup_time(network, &now), "time");
	printf("time: add %lld us, give or take %llu us\n", (long long)now.clock_offset_ns / 1000,
	       (unsigned long long)now.error_ns / 1000);

	/* What cannot be is told in words. */
	count = 0;
	if (bringup_resolve(network, "nowhere.bringup.test", 10000, NULL, &count) != BRINGUP_NO_ADDRESS)
		return 1;
	printf("error: %s\n", bringup_last_error());

	/* What has not been reached at the end is told so, too. */
	check(bringup_attach(network, BRINGUP_STATE_MODAL_UPDATING, reached, "updating"), "attach");
	bringup_destroy(network);
	return 0;
}
