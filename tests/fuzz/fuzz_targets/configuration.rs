//! See `jobbell_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobbell_fuzz::configuration(bytes));
