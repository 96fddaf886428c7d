//! See `mainmode::control::fuzzing`, where the ordinary tests find the same function.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mainmode::control::fuzzing::request(data));
