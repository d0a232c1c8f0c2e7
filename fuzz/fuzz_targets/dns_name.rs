//! One line of glue; the property is `bringup_fuzz::dns_name`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::dns_name(data));
