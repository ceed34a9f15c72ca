//! See `jobbell_fuzz::addresses`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobbell_fuzz::addresses(bytes));
