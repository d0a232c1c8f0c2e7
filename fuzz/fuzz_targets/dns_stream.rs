//! One line of glue; the property is `bringup_fuzz::dns_stream`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::dns_stream(data));
