/tmp/wt/core/tests/nostd/target/release/deps/bringup_system-24c378d20890fce1.d: /tmp/wt/core/helpers/system/src/lib.rs /tmp/wt/core/helpers/system/src/driven.rs /tmp/wt/core/helpers/system/src/event.rs /tmp/wt/core/helpers/system/src/interface.rs /tmp/wt/core/helpers/system/src/ring.rs /tmp/wt/core/helpers/system/src/servers.rs /tmp/wt/core/helpers/system/src/stage.rs /tmp/wt/core/helpers/system/src/system.rs /tmp/wt/core/helpers/system/src/time_names.rs /tmp/wt/core/helpers/system/src/wiring.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_system-24c378d20890fce1.rlib: /tmp/wt/core/helpers/system/src/lib.rs /tmp/wt/core/helpers/system/src/driven.rs /tmp/wt/core/helpers/system/src/event.rs /tmp/wt/core/helpers/system/src/interface.rs /tmp/wt/core/helpers/system/src/ring.rs /tmp/wt/core/helpers/system/src/servers.rs /tmp/wt/core/helpers/system/src/stage.rs /tmp/wt/core/helpers/system/src/system.rs /tmp/wt/core/helpers/system/src/time_names.rs /tmp/wt/core/helpers/system/src/wiring.rs

/tmp/wt/core/tests/nostd/target/release/deps/libbringup_system-24c378d20890fce1.rmeta: /tmp/wt/core/helpers/system/src/lib.rs /tmp/wt/core/helpers/system/src/driven.rs /tmp/wt/core/helpers/system/src/event.rs /tmp/wt/core/helpers/system/src/interface.rs /tmp/wt/core/helpers/system/src/ring.rs /tmp/wt/core/helpers/system/src/servers.rs /tmp/wt/core/helpers/system/src/stage.rs /tmp/wt/core/helpers/system/src/system.rs /tmp/wt/core/helpers/system/src/time_names.rs /tmp/wt/core/helpers/system/src/wiring.rs

/tmp/wt/core/helpers/system/src/lib.rs:
/tmp/wt/core/helpers/system/src/driven.rs:
/tmp/wt/core/helpers/system/src/event.rs:
/tmp/wt/core/helpers/system/src/interface.rs:
/tmp/wt/core/helpers/system/src/ring.rs:
/tmp/wt/core/helpers/system/src/servers.rs:
/tmp/wt/core/helpers/system/src/stage.rs:
/tmp/wt/core/helpers/system/src/system.rs:
/tmp/wt/core/helpers/system/src/time_names.rs:
/tmp/wt/core/helpers/system/src/wiring.rs:
