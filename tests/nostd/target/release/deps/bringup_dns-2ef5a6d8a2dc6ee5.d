/tmp/wt/core/tests/nostd/target/release/deps/bringup_dns-2ef5a6d8a2dc6ee5.d: /tmp/wt/core/helpers/dns/src/lib.rs /tmp/wt/core/helpers/dns/src/cache.rs /tmp/wt/core/helpers/dns/src/cache/arena.rs /tmp/wt/core/helpers/dns/src/cache/entry.rs /tmp/wt/core/helpers/dns/src/client.rs /tmp/wt/core/helpers/dns/src/client/absorb.rs /tmp/wt/core/helpers/dns/src/client/answer.rs /tmp/wt/core/helpers/dns/src/client/input.rs /tmp/wt/core/helpers/dns/src/client/lookups.rs /tmp/wt/core/helpers/dns/src/client/names.rs /tmp/wt/core/helpers/dns/src/client/refresh.rs /tmp/wt/core/helpers/dns/src/client/steps.rs /tmp/wt/core/helpers/dns/src/client/streams.rs /tmp/wt/core/helpers/dns/src/client/time.rs /tmp/wt/core/helpers/dns/src/client/transmit.rs /tmp/wt/core/helpers/dns/src/config.rs /tmp/wt/core/helpers/dns/src/config/hosts.rs /tmp/wt/core/helpers/dns/src/config/resolv_conf.rs /tmp/wt/core/helpers/dns/src/cookie.rs /tmp/wt/core/helpers/dns/src/counters.rs /tmp/wt/core/helpers/dns/src/encode.rs /tmp/wt/core/helpers/dns/src/malformed.rs /tmp/wt/core/helpers/dns/src/message.rs /tmp/wt/core/helpers/dns/src/name.rs /tmp/wt/core/helpers/dns/src/order.rs /tmp/wt/core/helpers/dns/src/query.rs /tmp/wt/core/helpers/dns/src/record.rs /tmp/wt/core/helpers/dns/src/record/layout.rs /tmp/wt/core/helpers/dns/src/record/svcb.rs /tmp/wt/core/helpers/dns/src/record/text.rs /tmp/wt/core/helpers/dns/src/response.rs /tmp/wt/core/helpers/dns/src/search.rs /tmp/wt/core/helpers/dns/src/server.rs /tmp/wt/core/helpers/dns/src/special.rs /tmp/wt/core/helpers/dns/src/stream.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_dns-2ef5a6d8a2dc6ee5.rlib: /tmp/wt/core/helpers/dns/src/lib.rs /tmp/wt/core/helpers/dns/src/cache.rs /tmp/wt/core/helpers/dns/src/cache/arena.rs /tmp/wt/core/helpers/dns/src/cache/entry.rs /tmp/wt/core/helpers/dns/src/client.rs /tmp/wt/core/helpers/dns/src/client/absorb.rs /tmp/wt/core/helpers/dns/src/client/answer.rs /tmp/wt/core/helpers/dns/src/client/input.rs /tmp/wt/core/helpers/dns/src/client/lookups.rs /tmp/wt/core/helpers/dns/src/client/names.rs /tmp/wt/core/helpers/dns/src/client/refresh.rs /tmp/wt/core/helpers/dns/src/client/steps.rs /tmp/wt/core/helpers/dns/src/client/streams.rs /tmp/wt/core/helpers/dns/src/client/time.rs /tmp/wt/core/helpers/dns/src/client/transmit.rs /tmp/wt/core/helpers/dns/src/config.rs /tmp/wt/core/helpers/dns/src/config/hosts.rs /tmp/wt/core/helpers/dns/src/config/resolv_conf.rs /tmp/wt/core/helpers/dns/src/cookie.rs /tmp/wt/core/helpers/dns/src/counters.rs /tmp/wt/core/helpers/dns/src/encode.rs /tmp/wt/core/helpers/dns/src/malformed.rs /tmp/wt/core/helpers/dns/src/message.rs /tmp/wt/core/helpers/dns/src/name.rs /tmp/wt/core/helpers/dns/src/order.rs /tmp/wt/core/helpers/dns/src/query.rs /tmp/wt/core/helpers/dns/src/record.rs /tmp/wt/core/helpers/dns/src/record/layout.rs /tmp/wt/core/helpers/dns/src/record/svcb.rs /tmp/wt/core/helpers/dns/src/record/text.rs /tmp/wt/core/helpers/dns/src/response.rs /tmp/wt/core/helpers/dns/src/search.rs /tmp/wt/core/helpers/dns/src/server.rs /tmp/wt/core/helpers/dns/src/special.rs /tmp/wt/core/helpers/dns/src/stream.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_dns-2ef5a6d8a2dc6ee5.rmeta: /tmp/wt/core/helpers/dns/src/lib.rs /tmp/wt/core/helpers/dns/src/cache.rs /tmp/wt/core/helpers/dns/src/cache/arena.rs /tmp/wt/core/helpers/dns/src/cache/entry.rs /tmp/wt/core/helpers/dns/src/client.rs /tmp/wt/core/helpers/dns/src/client/absorb.rs /tmp/wt/core/helpers/dns/src/client/answer.rs /tmp/wt/core/helpers/dns/src/client/input.rs /tmp/wt/core/helpers/dns/src/client/lookups.rs /tmp/wt/core/helpers/dns/src/client/names.rs /tmp/wt/core/helpers/dns/src/client/refresh.rs /tmp/wt/core/helpers/dns/src/client/steps.rs /tmp/wt/core/helpers/dns/src/client/streams.rs /tmp/wt/core/helpers/dns/src/client/time.rs /tmp/wt/core/helpers/dns/src/client/transmit.rs /tmp/wt/core/helpers/dns/src/config.rs /tmp/wt/core/helpers/dns/src/config/hosts.rs /tmp/wt/core/helpers/dns/src/config/resolv_conf.rs /tmp/wt/core/helpers/dns/src/cookie.rs /tmp/wt/core/helpers/dns/src/counters.rs /tmp/wt/core/helpers/dns/src/encode.rs /tmp/wt/core/helpers/dns/src/malformed.rs /tmp/wt/core/helpers/dns/src/message.rs /tmp/wt/core/helpers/dns/src/name.rs /tmp/wt/core/helpers/dns/src/order.rs /tmp/wt/core/helpers/dns/src/query.rs /tmp/wt/core/helpers/dns/src/record.rs /tmp/wt/core/helpers/dns/src/record/layout.rs /tmp/wt/core/helpers/dns/src/record/svcb.rs /tmp/wt/core/helpers/dns/src/record/text.rs /tmp/wt/core/helpers/dns/src/response.rs /tmp/wt/core/helpers/dns/src/search.rs /tmp/wt/core/helpers/dns/src/server.rs /tmp/wt/core/helpers/dns/src/special.rs /tmp/wt/core/helpers/dns/src/stream.rs

/tmp/wt/core/helpers/dns/src/lib.rs:
/tmp/wt/core/helpers/dns/src/cache.rs:
/tmp/wt/core/helpers/dns/src/cache/arena.rs:
/tmp/wt/core/helpers/dns/src/cache/entry.rs:
/tmp/wt/core/helpers/dns/src/client.rs:
/tmp/wt/core/helpers/dns/src/client/absorb.rs:
/tmp/wt/core/helpers/dns/src/client/answer.rs:
/tmp/wt/core/helpers/dns/src/client/input.rs:
/tmp/wt/core/helpers/dns/src/client/lookups.rs:
/tmp/wt/core/helpers/dns/src/client/names.rs:
/tmp/wt/core/helpers/dns/src/client/refresh.rs:
/tmp/wt/core/helpers/dns/src/client/steps.rs:
/tmp/wt/core/helpers/dns/src/client/streams.rs:
/tmp/wt/core/helpers/dns/src/client/time.rs:
/tmp/wt/core/helpers/dns/src/client/transmit.rs:
/tmp/wt/core/helpers/dns/src/config.rs:
/tmp/wt/core/helpers/dns/src/config/hosts.rs:
/tmp/wt/core/helpers/dns/src/config/resolv_conf.rs:
/tmp/wt/core/helpers/dns/src/cookie.rs:
/tmp/wt/core/helpers/dns/src/counters.rs:
/tmp/wt/core/helpers/dns/src/encode.rs:
/tmp/wt/core/helpers/dns/src/malformed.rs:
/tmp/wt/core/helpers/dns/src/message.rs:
/tmp/wt/core/helpers/dns/src/name.rs:
/tmp/wt/core/helpers/dns/src/order.rs:
/tmp/wt/core/helpers/dns/src/query.rs:
/tmp/wt/core/helpers/dns/src/record.rs:
/tmp/wt/core/helpers/dns/src/record/layout.rs:
/tmp/wt/core/helpers/dns/src/record/svcb.rs:
/tmp/wt/core/helpers/dns/src/record/text.rs:
/tmp/wt/core/helpers/dns/src/response.rs:
/tmp/wt/core/helpers/dns/src/search.rs:
/tmp/wt/core/helpers/dns/src/server.rs:
/tmp/wt/core/helpers/dns/src/special.rs:
/tmp/wt/core/helpers/dns/src/stream.rs:
