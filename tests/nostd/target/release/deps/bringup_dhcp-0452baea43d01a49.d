/tmp/wt/core/tests/nostd/target/release/deps/bringup_dhcp-0452baea43d01a49.d: /tmp/wt/core/helpers/dhcp/src/lib.rs /tmp/wt/core/helpers/dhcp/src/named.rs /tmp/wt/core/helpers/dhcp/src/anonymous.rs /tmp/wt/core/helpers/dhcp/src/arp.rs /tmp/wt/core/helpers/dhcp/src/bucket.rs /tmp/wt/core/helpers/dhcp/src/client/mod.rs /tmp/wt/core/helpers/dhcp/src/client/answer.rs /tmp/wt/core/helpers/dhcp/src/client/claim.rs /tmp/wt/core/helpers/dhcp/src/client/exchange.rs /tmp/wt/core/helpers/dhcp/src/client/force.rs /tmp/wt/core/helpers/dhcp/src/client/link_local.rs /tmp/wt/core/helpers/dhcp/src/client/memory.rs /tmp/wt/core/helpers/dhcp/src/client/neighbour.rs /tmp/wt/core/helpers/dhcp/src/client/progress.rs /tmp/wt/core/helpers/dhcp/src/client/reply.rs /tmp/wt/core/helpers/dhcp/src/client/router.rs /tmp/wt/core/helpers/dhcp/src/client/send.rs /tmp/wt/core/helpers/dhcp/src/client/sockets.rs /tmp/wt/core/helpers/dhcp/src/client/state.rs /tmp/wt/core/helpers/dhcp/src/code.rs /tmp/wt/core/helpers/dhcp/src/config.rs /tmp/wt/core/helpers/dhcp/src/counters.rs /tmp/wt/core/helpers/dhcp/src/event.rs /tmp/wt/core/helpers/dhcp/src/fqdn.rs /tmp/wt/core/helpers/dhcp/src/frame.rs /tmp/wt/core/helpers/dhcp/src/lease.rs /tmp/wt/core/helpers/dhcp/src/md5.rs /tmp/wt/core/helpers/dhcp/src/message.rs /tmp/wt/core/helpers/dhcp/src/name.rs /tmp/wt/core/helpers/dhcp/src/offer.rs /tmp/wt/core/helpers/dhcp/src/options.rs /tmp/wt/core/helpers/dhcp/src/retry.rs /tmp/wt/core/helpers/dhcp/src/route.rs /tmp/wt/core/helpers/dhcp/src/snapshot.rs /tmp/wt/core/helpers/dhcp/src/text.rs /tmp/wt/core/helpers/dhcp/src/vault.rs /tmp/wt/core/helpers/dhcp/src/vendor.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_dhcp-0452baea43d01a49.rlib: /tmp/wt/core/helpers/dhcp/src/lib.rs /tmp/wt/core/helpers/dhcp/src/named.rs /tmp/wt/core/helpers/dhcp/src/anonymous.rs /tmp/wt/core/helpers/dhcp/src/arp.rs /tmp/wt/core/helpers/dhcp/src/bucket.rs /tmp/wt/core/helpers/dhcp/src/client/mod.rs /tmp/wt/core/helpers/dhcp/src/client/answer.rs /tmp/wt/core/helpers/dhcp/src/client/claim.rs /tmp/wt/core/helpers/dhcp/src/client/exchange.rs /tmp/wt/core/helpers/dhcp/src/client/force.rs /tmp/wt/core/helpers/dhcp/src/client/link_local.rs /tmp/wt/core/helpers/dhcp/src/client/memory.rs /tmp/wt/core/helpers/dhcp/src/client/neighbour.rs /tmp/wt/core/helpers/dhcp/src/client/progress.rs /tmp/wt/core/helpers/dhcp/src/client/reply.rs /tmp/wt/core/helpers/dhcp/src/client/router.rs /tmp/wt/core/helpers/dhcp/src/client/send.rs /tmp/wt/core/helpers/dhcp/src/client/sockets.rs /tmp/wt/core/helpers/dhcp/src/client/state.rs /tmp/wt/core/helpers/dhcp/src/code.rs /tmp/wt/core/helpers/dhcp/src/config.rs /tmp/wt/core/helpers/dhcp/src/counters.rs /tmp/wt/core/helpers/dhcp/src/event.rs /tmp/wt/core/helpers/dhcp/src/fqdn.rs /tmp/wt/core/helpers/dhcp/src/frame.rs /tmp/wt/core/helpers/dhcp/src/lease.rs /tmp/wt/core/helpers/dhcp/src/md5.rs /tmp/wt/core/helpers/dhcp/src/message.rs /tmp/wt/core/helpers/dhcp/src/name.rs /tmp/wt/core/helpers/dhcp/src/offer.rs /tmp/wt/core/helpers/dhcp/src/options.rs /tmp/wt/core/helpers/dhcp/src/retry.rs /tmp/wt/core/helpers/dhcp/src/route.rs /tmp/wt/core/helpers/dhcp/src/snapshot.rs /tmp/wt/core/helpers/dhcp/src/text.rs /tmp/wt/core/helpers/dhcp/src/vault.rs /tmp/wt/core/helpers/dhcp/src/vendor.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_dhcp-0452baea43d01a49.rmeta: /tmp/wt/core/helpers/dhcp/src/lib.rs /tmp/wt/core/helpers/dhcp/src/named.rs /tmp/wt/core/helpers/dhcp/src/anonymous.rs /tmp/wt/core/helpers/dhcp/src/arp.rs /tmp/wt/core/helpers/dhcp/src/bucket.rs /tmp/wt/core/helpers/dhcp/src/client/mod.rs /tmp/wt/core/helpers/dhcp/src/client/answer.rs /tmp/wt/core/helpers/dhcp/src/client/claim.rs /tmp/wt/core/helpers/dhcp/src/client/exchange.rs /tmp/wt/core/helpers/dhcp/src/client/force.rs /tmp/wt/core/helpers/dhcp/src/client/link_local.rs /tmp/wt/core/helpers/dhcp/src/client/memory.rs /tmp/wt/core/helpers/dhcp/src/client/neighbour.rs /tmp/wt/core/helpers/dhcp/src/client/progress.rs /tmp/wt/core/helpers/dhcp/src/client/reply.rs /tmp/wt/core/helpers/dhcp/src/client/router.rs /tmp/wt/core/helpers/dhcp/src/client/send.rs /tmp/wt/core/helpers/dhcp/src/client/sockets.rs /tmp/wt/core/helpers/dhcp/src/client/state.rs /tmp/wt/core/helpers/dhcp/src/code.rs /tmp/wt/core/helpers/dhcp/src/config.rs /tmp/wt/core/helpers/dhcp/src/counters.rs /tmp/wt/core/helpers/dhcp/src/event.rs /tmp/wt/core/helpers/dhcp/src/fqdn.rs /tmp/wt/core/helpers/dhcp/src/frame.rs /tmp/wt/core/helpers/dhcp/src/lease.rs /tmp/wt/core/helpers/dhcp/src/md5.rs /tmp/wt/core/helpers/dhcp/src/message.rs /tmp/wt/core/helpers/dhcp/src/name.rs /tmp/wt/core/helpers/dhcp/src/offer.rs /tmp/wt/core/helpers/dhcp/src/options.rs /tmp/wt/core/helpers/dhcp/src/retry.rs /tmp/wt/core/helpers/dhcp/src/route.rs /tmp/wt/core/helpers/dhcp/src/snapshot.rs /tmp/wt/core/helpers/dhcp/src/text.rs /tmp/wt/core/helpers/dhcp/src/vault.rs /tmp/wt/core/helpers/dhcp/src/vendor.rs

/tmp/wt/core/helpers/dhcp/src/lib.rs:
/tmp/wt/core/helpers/dhcp/src/named.rs:
/tmp/wt/core/helpers/dhcp/src/anonymous.rs:
/tmp/wt/core/helpers/dhcp/src/arp.rs:
/tmp/wt/core/helpers/dhcp/src/bucket.rs:
/tmp/wt/core/helpers/dhcp/src/client/mod.rs:
/tmp/wt/core/helpers/dhcp/src/client/answer.rs:
/tmp/wt/core/helpers/dhcp/src/client/claim.rs:
/tmp/wt/core/helpers/dhcp/src/client/exchange.rs:
/tmp/wt/core/helpers/dhcp/src/client/force.rs:
/tmp/wt/core/helpers/dhcp/src/client/link_local.rs:
/tmp/wt/core/helpers/dhcp/src/client/memory.rs:
/tmp/wt/core/helpers/dhcp/src/client/neighbour.rs:
/tmp/wt/core/helpers/dhcp/src/client/progress.rs:
/tmp/wt/core/helpers/dhcp/src/client/reply.rs:
/tmp/wt/core/helpers/dhcp/src/client/router.rs:
/tmp/wt/core/helpers/dhcp/src/client/send.rs:
/tmp/wt/core/helpers/dhcp/src/client/sockets.rs:
/tmp/wt/core/helpers/dhcp/src/client/state.rs:
/tmp/wt/core/helpers/dhcp/src/code.rs:
/tmp/wt/core/helpers/dhcp/src/config.rs:
/tmp/wt/core/helpers/dhcp/src/counters.rs:
/tmp/wt/core/helpers/dhcp/src/event.rs:
/tmp/wt/core/helpers/dhcp/src/fqdn.rs:
/tmp/wt/core/helpers/dhcp/src/frame.rs:
/tmp/wt/core/helpers/dhcp/src/lease.rs:
/tmp/wt/core/helpers/dhcp/src/md5.rs:
/tmp/wt/core/helpers/dhcp/src/message.rs:
/tmp/wt/core/helpers/dhcp/src/name.rs:
/tmp/wt/core/helpers/dhcp/src/offer.rs:
/tmp/wt/core/helpers/dhcp/src/options.rs:
/tmp/wt/core/helpers/dhcp/src/retry.rs:
/tmp/wt/core/helpers/dhcp/src/route.rs:
/tmp/wt/core/helpers/dhcp/src/snapshot.rs:
/tmp/wt/core/helpers/dhcp/src/text.rs:
/tmp/wt/core/helpers/dhcp/src/vault.rs:
/tmp/wt/core/helpers/dhcp/src/vendor.rs:
