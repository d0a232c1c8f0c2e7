//! One line of glue; the property is `bringup_fuzz::core_wire`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::core_wire(data));
