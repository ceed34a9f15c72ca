//! See `jobbell_fuzz::html_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobbell_fuzz::html_filter(bytes));
