//! See `jobbell_fuzz::smtp_replies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jobbell_fuzz::smtp_replies(bytes));
