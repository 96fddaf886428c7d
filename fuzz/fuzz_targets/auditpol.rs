//! See `audit::fuzzing`, where the ordinary tests find the same function.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| audit::fuzzing::auditpol(data));
