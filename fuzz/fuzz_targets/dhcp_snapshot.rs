//! One line of glue; the property is `bringup_fuzz::dhcp_snapshot`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::dhcp_snapshot(data));
