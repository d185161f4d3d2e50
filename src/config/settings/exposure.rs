//! Whether strangers could reach what is the operator's.

use super::{ADMIN_TOKEN, admin_token, keys_required, store_file};
use crate::config::check::Check;
use crate::config::raw::{AuthMode, Raw};
use crate::config::tree::Path;

/// Checks that nobody can spend or change what is the operator's.
pub(in crate::config) fn exposure(raw: &Raw, check: &mut Check<'_>) {
    let auth = Path::default().key("auth");
    let (listen, admin) = (raw.server.listen, raw.server.admin);
    // Keys may also be in the store, which its owner opens.
    let stored = store_file(&raw.store.url).is_some_and(std::path::Path::exists);
    if keys_required(raw) && raw.auth.keys.is_empty() && !stored {
        let message = format!("callers of {listen} need keys, and there are none");
        check.error(&auth.key("keys"), message, "make one with merit keys create, or listen on 127.0.0.1");
    }
    if !listen.ip().is_loopback() && raw.auth.mode == AuthMode::None && !raw.auth.allow_open {
        let message = format!("without keys anyone who reaches {listen} spends your money");
        check.error(
            &auth.key("mode"),
            message,
            "use keys, listen on 127.0.0.1, or set auth.allow_open = true",
        );
    }
    if admin_token(raw, check).is_none() && !admin.ip().is_loopback() {
        let path = Path::default().key("admin").key("token");
        let message = format!("anyone who reaches {admin} could change everything");
        check.error(&path, message, format!("set {ADMIN_TOKEN}, or server.admin = \"127.0.0.1:9090\""));
    }
}
