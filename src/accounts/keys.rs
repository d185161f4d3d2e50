//! Callers' keys: how they are made, stored and recognised.
//!
//! A key has 192 bits from the system's random source, a prefix that secret
//! scanners can find and a checksum that tells a mistyped key from a revoked
//! one. Stored is only its digest, BLAKE3 keyed with the *pepper*, a secret of
//! this installation: a stolen configuration is worth nothing without it, and a
//! digest presented as a key is just a wrong key. High-entropy keys need no
//! slow hash. Looking a digest up in a hash table leaks nothing about the key:
//! whoever does not know the pepper cannot choose digests.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::path::AccountPath;
use crate::catalog::Secret;

pub use crate::catalog::Expose;

/// What every key begins with. `sk-` because some clients insist on it.
pub const PREFIX: &str = "sk-merit-";

/// Random characters of a key: 32 of 62 kinds are 190 bits.
const RANDOM: usize = 32;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Someone whose key is known, or anyone where none is needed.
#[derive(Debug)]
pub struct Caller {
    /// The key's name; `anonymous` where no keys are needed.
    pub name: Arc<str>,
    /// What it may see.
    pub expose: Expose,
    /// The models and routes it may use; `None` is all.
    pub models: Option<HashSet<String>>,
    /// Who pays, for keys of the store; nobody for those of the configuration.
    pub account: Option<AccountPath>,
}

impl Caller {
    /// Anyone, where no keys are needed.
    #[must_use]
    pub fn anonymous() -> Self {
        Caller { name: "anonymous".into(), expose: Expose::Full, models: None, account: None }
    }

    /// Whether it may ask for this name.
    #[must_use]
    pub fn may_use(&self, name: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(name))
    }
}

/// The key of the digests.
#[derive(Clone)]
pub struct Pepper(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Pepper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pepper(***)")
    }
}

/// A key's digest: what is stored.
pub type Digest = [u8; 32];

impl Pepper {
    /// A pepper from any secret text.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Pepper(Zeroizing::new(blake3::derive_key("merit 2026-11 pepper of key digests", text.as_bytes())))
    }

    /// Reads the pepper's file.
    ///
    /// # Errors
    /// When it cannot be read, or is empty.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        match text.trim() {
            "" => Err(io::Error::other("the pepper's file is empty")),
            text => Ok(Self::from_text(text)),
        }
    }

    /// Reads the pepper's file, or makes it (mode 0600) with fresh randomness.
    ///
    /// # Errors
    /// When the file can be neither read nor made, or is empty.
    pub fn load_or_make(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            loaded => loaded,
        }
    }

    /// Written whole and then linked into place, so that of two processes that
    /// start at once both end up with the same pepper.
    fn make(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let text = Zeroizing::new(random_text(43)?);
        let draft = path.with_extension(format!("new-{}", std::process::id()));
        let mut options = std::fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.write(true).create(true).truncate(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let linked = std::fs::hard_link(&draft, path);
        std::fs::remove_file(&draft)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self::from_text(std::fs::read_to_string(path)?.trim())),
        }
    }

    /// The digest under which a key is stored.
    #[must_use]
    pub fn digest(&self, key: &str) -> Digest {
        *blake3::keyed_hash(&self.0, key.as_bytes()).as_bytes()
    }
}

/// A digest as 64 hexadecimal digits.
#[must_use]
pub fn hex(digest: &Digest) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}

/// The digest that 64 hexadecimal digits stand for.
#[must_use]
pub fn from_hex(text: &str) -> Option<Digest> {
    blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes())
}

/// A new key: prefix, 32 random characters, and 6 of checksum.
///
/// # Errors
/// When the system has no randomness to give.
pub fn make_key() -> io::Result<Secret> {
    let random = Zeroizing::new(random_text(RANDOM)?);
    let checksum = checksum(&random);
    Ok(Secret::new(format!("{PREFIX}{}{checksum}", random.as_str())))
}

/// Whether a text has the form and checksum of a key of ours.
#[must_use]
pub fn is_well_formed(key: &str) -> bool {
    key.strip_prefix(PREFIX)
        .and_then(|rest| rest.split_at_checked(RANDOM))
        .is_some_and(|(random, check)| checksum(random) == check)
}

/// CRC-32 of the random part in six characters of the alphabet.
fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes());
    let mut text = String::with_capacity(6);
    for _ in 0..6 {
        text.push(letter(rest % 62));
        rest /= 62;
    }
    text
}

fn letter(index: u32) -> char {
    ALPHABET.get(index as usize).map_or('0', |byte| char::from(*byte))
}

/// Uniform over the alphabet: bytes that would favour its beginning are thrown
/// away.
fn random_text(length: usize) -> io::Result<String> {
    let mut text = String::with_capacity(length);
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while text.len() < length {
        getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
        let fair = bytes.iter().filter(|byte| **byte < 248).take(length - text.len());
        text.extend(fair.map(|byte| letter(u32::from(byte % 62))));
    }
    Ok(text)
}

/// What a request presents as its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented<'h> {
    /// Nothing.
    Nothing,
    /// One key, perhaps in several headers.
    Key(&'h str),
    /// Two different keys.
    Conflicting,
    /// Something that is not a key: another scheme, or not text.
    Unusable,
}

/// The one place that reads credentials from a request. `Authorization:
/// Bearer`, `x-api-key` and `api-key` are equivalent.
#[must_use]
pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut found = Presented::Nothing;
    let plain = ["x-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name));
    let bearer =
        headers.get_all(AUTHORIZATION).into_iter().map(|value| value.to_str().ok().and_then(bearer_token));
    for key in bearer.chain(plain.map(|value| value.to_str().ok().map(str::trim))) {
        let key = key.filter(|key| !key.is_empty());
        found = match (found, key) {
            (Presented::Nothing, Some(key)) => Presented::Key(key),
            (Presented::Nothing, None) => Presented::Unusable,
            (Presented::Key(before), Some(key)) if before == key => found,
            (Presented::Key(_) | Presented::Conflicting | Presented::Unusable, _) => Presented::Conflicting,
        };
    }
    found
}

fn bearer_token(value: &str) -> Option<&str> {
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// All keys of one configuration generation.
#[derive(Debug)]
pub struct KeyTable {
    pepper: Pepper,
    callers: HashMap<Digest, Arc<Caller>>,
}

impl KeyTable {
    /// A table of digests and whose they are.
    #[must_use]
    pub fn new(pepper: Pepper, callers: HashMap<Digest, Arc<Caller>>) -> Self {
        KeyTable { pepper, callers }
    }

    /// Whose key this is.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Arc<Caller>> {
        self.callers.get(&self.pepper.digest(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_well_formed_and_different() {
        let (one, two) = (make_key().unwrap(), make_key().unwrap());
        assert_ne!(one, two);
        assert!(is_well_formed(one.expose()), "{}", one.expose());
        assert_eq!(one.expose().len(), PREFIX.len() + 38);
        let mut mistyped = one.expose().to_owned();
        let last = mistyped.pop();
        mistyped.push(if last == Some('a') { 'b' } else { 'a' });
        assert!(!is_well_formed(&mistyped));
        assert!(!is_well_formed("sk-merit-äöü"));
    }

    #[test]
    fn a_digest_is_not_a_key() {
        let pepper = Pepper::from_text("pepper");
        let digest = pepper.digest("key");
        let table = KeyTable::new(pepper, HashMap::from([(digest, Arc::new(Caller::anonymous()))]));
        assert!(table.find("key").is_some());
        assert!(table.find(&hex(&digest)).is_none());
        assert_eq!(from_hex(&hex(&digest)), Some(digest));
        assert_ne!(Pepper::from_text("other").digest("key"), digest);
    }

    #[test]
    fn a_pepper_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/pepper");
        let first = Pepper::load_or_make(&path).unwrap();
        let second = Pepper::load_or_make(&path).unwrap();
        assert_eq!(first.digest("k"), second.digest("k"));
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, " \n").unwrap();
        assert!(Pepper::load_or_make(&path).is_err());
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn all_forms_of_a_credential_are_equivalent() {
        for form in [
            ("authorization", "Bearer k"),
            ("authorization", "bearer  k "),
            ("x-api-key", "k"),
            ("api-key", " k"),
        ] {
            assert_eq!(presented(&headers(&[form])), Presented::Key("k"), "{form:?}");
        }
        assert_eq!(presented(&headers(&[])), Presented::Nothing);
        assert_eq!(
            presented(&headers(&[("authorization", "Bearer k"), ("x-api-key", "k")])),
            Presented::Key("k")
        );
        assert_eq!(
            presented(&headers(&[("authorization", "Bearer k"), ("api-key", "l")])),
            Presented::Conflicting
        );
        assert_eq!(presented(&headers(&[("x-api-key", "k"), ("x-api-key", "l")])), Presented::Conflicting);
        for bad in ["Basic abc", "k", "Bearer", "Bearer "] {
            assert_eq!(presented(&headers(&[("authorization", bad)])), Presented::Unusable, "{bad}");
        }
    }
}
