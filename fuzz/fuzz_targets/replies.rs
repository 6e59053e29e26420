#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| saved_template_fuzz::replies(data));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("cargo +nightly fuzz run replies, or make fuzz");
}
