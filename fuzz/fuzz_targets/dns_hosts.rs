//! One line of glue; the property is `bringup_fuzz::dns_hosts`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::dns_hosts(data));
