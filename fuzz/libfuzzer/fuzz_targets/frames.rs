//! The shell of comet_fuzz::frames for libFuzzer; the body is a plain function so that stable can replay it.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| comet_fuzz::frames(data));
