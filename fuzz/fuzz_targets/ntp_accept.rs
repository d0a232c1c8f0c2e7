//! One line of glue; the property is `bringup_fuzz::ntp_accept`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| bringup_fuzz::ntp_accept(data));
