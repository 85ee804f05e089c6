//! The target `plugin_manifest`: under cargo-fuzz it is driven, otherwise it runs once for each file that is named.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| weir_fuzz::run("plugin_manifest", data));

#[cfg(not(fuzzing))]
fn main() -> std::process::ExitCode {
    weir_fuzz::repeat("plugin_manifest")
}
