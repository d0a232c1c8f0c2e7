//! One line of glue; the property is `bringup_fuzz::core_timer`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::core_timer(data));
