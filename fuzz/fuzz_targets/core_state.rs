//! One line of glue; the property is `bringup_fuzz::core_state`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::core_state(data));
