//! One line of glue; the property is `bringup_fuzz::ntp_packet`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::ntp_packet(data));
