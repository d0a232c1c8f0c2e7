/tmp/wt/core/tests/nostd/target/release/deps/bringup_core-ce2d8989d9f7d653.d: /tmp/wt/core/core/src/lib.rs /tmp/wt/core/core/src/attach.rs /tmp/wt/core/core/src/client.rs /tmp/wt/core/core/src/error.rs /tmp/wt/core/core/src/event_loop.rs /tmp/wt/core/core/src/platform.rs /tmp/wt/core/core/src/poll.rs /tmp/wt/core/core/src/state.rs /tmp/wt/core/core/src/sync.rs /tmp/wt/core/core/src/time.rs /tmp/wt/core/core/src/timer.rs /tmp/wt/core/core/src/wire.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_core-ce2d8989d9f7d653.rlib: /tmp/wt/core/core/src/lib.rs /tmp/wt/core/core/src/attach.rs /tmp/wt/core/core/src/client.rs /tmp/wt/core/core/src/error.rs /tmp/wt/core/core/src/event_loop.rs /tmp/wt/core/core/src/platform.rs /tmp/wt/core/core/src/poll.rs /tmp/wt/core/core/src/state.rs /tmp/wt/core/core/src/sync.rs /tmp/wt/core/core/src/time.rs /tmp/wt/core/core/src/timer.rs /tmp/wt/core/core/src/wire.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_core-ce2d8989d9f7d653.rmeta: /tmp/wt/core/core/src/lib.rs /tmp/wt/core/core/src/attach.rs /tmp/wt/core/core/src/client.rs /tmp/wt/core/core/src/error.rs /tmp/wt/core/core/src/event_loop.rs /tmp/wt/core/core/src/platform.rs /tmp/wt/core/core/src/poll.rs /tmp/wt/core/core/src/state.rs /tmp/wt/core/core/src/sync.rs /tmp/wt/core/core/src/time.rs /tmp/wt/core/core/src/timer.rs /tmp/wt/core/core/src/wire.rs

/tmp/wt/core/core/src/lib.rs:
/tmp/wt/core/core/src/attach.rs:
/tmp/wt/core/core/src/client.rs:
/tmp/wt/core/core/src/error.rs:
/tmp/wt/core/core/src/event_loop.rs:
/tmp/wt/core/core/src/platform.rs:
/tmp/wt/core/core/src/poll.rs:
/tmp/wt/core/core/src/state.rs:
/tmp/wt/core/core/src/sync.rs:
/tmp/wt/core/core/src/time.rs:
/tmp/wt/core/core/src/timer.rs:
/tmp/wt/core/core/src/wire.rs:
