#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| assert_eq!(merit::dialect::probe::bedrock_stream(text), Ok(())));
