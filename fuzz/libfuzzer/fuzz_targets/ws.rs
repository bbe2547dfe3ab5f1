//! The shell of comet_fuzz::ws for libFuzzer; the body is a plain function so that stable can replay it.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| comet_fuzz::ws(data));
