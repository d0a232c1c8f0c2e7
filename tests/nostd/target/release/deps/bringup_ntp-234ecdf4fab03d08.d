/tmp/wt/core/tests/nostd/target/release/deps/bringup_ntp-234ecdf4fab03d08.d: /tmp/wt/core/helpers/ntp/src/lib.rs /tmp/wt/core/helpers/ntp/src/accept.rs /tmp/wt/core/helpers/ntp/src/association.rs /tmp/wt/core/helpers/ntp/src/client/mod.rs /tmp/wt/core/helpers/ntp/src/client/config.rs /tmp/wt/core/helpers/ntp/src/client/event.rs /tmp/wt/core/helpers/ntp/src/client/flight.rs /tmp/wt/core/helpers/ntp/src/client/probe.rs /tmp/wt/core/helpers/ntp/src/client/schedule.rs /tmp/wt/core/helpers/ntp/src/client/servers.rs /tmp/wt/core/helpers/ntp/src/client/weigh.rs /tmp/wt/core/helpers/ntp/src/clock.rs /tmp/wt/core/helpers/ntp/src/discard.rs /tmp/wt/core/helpers/ntp/src/discipline.rs /tmp/wt/core/helpers/ntp/src/extension.rs /tmp/wt/core/helpers/ntp/src/malformed.rs /tmp/wt/core/helpers/ntp/src/packet.rs /tmp/wt/core/helpers/ntp/src/select.rs /tmp/wt/core/helpers/ntp/src/timestamp.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_ntp-234ecdf4fab03d08.rlib: /tmp/wt/core/helpers/ntp/src/lib.rs /tmp/wt/core/helpers/ntp/src/accept.rs /tmp/wt/core/helpers/ntp/src/association.rs /tmp/wt/core/helpers/ntp/src/client/mod.rs /tmp/wt/core/helpers/ntp/src/client/config.rs /tmp/wt/core/helpers/ntp/src/client/event.rs /tmp/wt/core/helpers/ntp/src/client/flight.rs /tmp/wt/core/helpers/ntp/src/client/probe.rs /tmp/wt/core/helpers/ntp/src/client/schedule.rs /tmp/wt/core/helpers/ntp/src/client/servers.rs /tmp/wt/core/helpers/ntp/src/client/weigh.rs /tmp/wt/core/helpers/ntp/src/clock.rs /tmp/wt/core/helpers/ntp/src/discard.rs /tmp/wt/core/helpers/ntp/src/discipline.rs /tmp/wt/core/helpers/ntp/src/extension.rs /tmp/wt/core/helpers/ntp/src/malformed.rs /tmp/wt/core/helpers/ntp/src/packet.rs /tmp/wt/core/helpers/ntp/src/select.rs /tmp/wt/core/helpers/ntp/src/timestamp.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_ntp-234ecdf4fab03d08.rmeta: /tmp/wt/core/helpers/ntp/src/lib.rs /tmp/wt/core/helpers/ntp/src/accept.rs /tmp/wt/core/helpers/ntp/src/association.rs /tmp/wt/core/helpers/ntp/src/client/mod.rs /tmp/wt/core/helpers/ntp/src/client/config.rs /tmp/wt/core/helpers/ntp/src/client/event.rs /tmp/wt/core/helpers/ntp/src/client/flight.rs /tmp/wt/core/helpers/ntp/src/client/probe.rs /tmp/wt/core/helpers/ntp/src/client/schedule.rs /tmp/wt/core/helpers/ntp/src/client/servers.rs /tmp/wt/core/helpers/ntp/src/client/weigh.rs /tmp/wt/core/helpers/ntp/src/clock.rs /tmp/wt/core/helpers/ntp/src/discard.rs /tmp/wt/core/helpers/ntp/src/discipline.rs /tmp/wt/core/helpers/ntp/src/extension.rs /tmp/wt/core/helpers/ntp/src/malformed.rs /tmp/wt/core/helpers/ntp/src/packet.rs /tmp/wt/core/helpers/ntp/src/select.rs /tmp/wt/core/helpers/ntp/src/timestamp.rs

/tmp/wt/core/helpers/ntp/src/lib.rs:
/tmp/wt/core/helpers/ntp/src/accept.rs:
/tmp/wt/core/helpers/ntp/src/association.rs:
/tmp/wt/core/helpers/ntp/src/client/mod.rs:
/tmp/wt/core/helpers/ntp/src/client/config.rs:
/tmp/wt/core/helpers/ntp/src/client/event.rs:
/tmp/wt/core/helpers/ntp/src/client/flight.rs:
/tmp/wt/core/helpers/ntp/src/client/probe.rs:
/tmp/wt/core/helpers/ntp/src/client/schedule.rs:
/tmp/wt/core/helpers/ntp/src/client/servers.rs:
/tmp/wt/core/helpers/ntp/src/client/weigh.rs:
/tmp/wt/core/helpers/ntp/src/clock.rs:
/tmp/wt/core/helpers/ntp/src/discard.rs:
/tmp/wt/core/helpers/ntp/src/discipline.rs:
/tmp/wt/core/helpers/ntp/src/extension.rs:
/tmp/wt/core/helpers/ntp/src/malformed.rs:
/tmp/wt/core/helpers/ntp/src/packet.rs:
/tmp/wt/core/helpers/ntp/src/select.rs:
/tmp/wt/core/helpers/ntp/src/timestamp.rs:
