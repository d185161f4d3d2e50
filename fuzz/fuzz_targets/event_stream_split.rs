#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| assert_eq!(merit::dialect::probe::event_stream_split(text), Ok(())));
