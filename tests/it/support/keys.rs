//! Keys for callers, as the configuration lists them.

use std::fmt::Write as _;

use merit::accounts::Pepper;
use merit::accounts::keys::hex;

/// The secret of all digests here.
const PEPPER: &str = "a-pepper-for-stories";

/// `[auth]` with these keys, which everyone needs. Each is a name, which with
/// `sk-` before it is the key itself, and more lines for its table.
pub(crate) fn configured(keys: &[(&str, &str)]) -> String {
    let mut text = format!("[auth]\nmode = \"keys\"\npepper = \"{PEPPER}\"\n");
    for (name, more) in keys {
        let digest = hex(&Pepper::from_text(PEPPER).digest(&format!("sk-{name}")));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "[[auth.keys]]\nname = \"{name}\"\ndigest = \"{digest}\"\n{more}");
    }
    text
}
