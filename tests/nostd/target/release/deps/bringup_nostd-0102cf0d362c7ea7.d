/tmp/wt/core/tests/nostd/target/release/deps/bringup_nostd-0102cf0d362c7ea7.d: src/main.rs

/tmp/wt/core/tests/nostd/target/release/deps/bringup_nostd-0102cf0d362c7ea7: src/main.rs

src/main.rs:
