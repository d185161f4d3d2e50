#![no_main]

use libfuzzer_sys::fuzz_target;
use merit::books::prices::{PriceBook, SourceKind};

/// Whatever a list says, it is read or refused, and the book answers.
fuzz_target!(|body: &[u8]| {
    for kind in SourceKind::ALL {
        let book = PriceBook::embedded();
        let _ = book.update(kind, "openrouter", body, 1_795_132_800);
    }
});
