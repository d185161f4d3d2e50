//! Secrets stand in the configuration by reference: a variable or a file. A
//! literal works, but is complained of, for files are copied and committed.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::check::Check;
use super::tree::Path;
use crate::catalog::Secret;

/// No credential is longer (64 KiB); what is longer is another file.
const LONGEST: u64 = 64 << 10;

/// Where a secret is: `{ env = "NAME" }`, `{ file = "/path" }`, or the secret
/// itself. What is written of it never includes the secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Reference {
    /// In an environment variable.
    Env {
        /// Its name.
        env: String,
    },
    /// In a file, without the line break at its end; read again at each reload.
    File {
        /// Its path, relative to the working directory.
        file: PathBuf,
    },
    /// Here.
    Literal(#[serde(deserialize_with = "literal")] Secret),
}

fn literal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let one = |key: &'static str, value: &str| serde_json::json!({ key: value });
        match self {
            Reference::Env { env } => one("env", env).serialize(serializer),
            Reference::File { file } => one("file", &file.to_string_lossy()).serialize(serializer),
            Reference::Literal(_) => "***".serialize(serializer),
        }
    }
}

impl JsonSchema for Reference {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "object",
                    "properties": {
                        "env": { "type": "string", "description": "An environment variable." },
                    },
                    "required": ["env"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "file": { "type": "string", "description": "A file; read again at each reload." },
                    },
                    "required": ["file"],
                    "additionalProperties": false,
                },
                {
                    "type": "string",
                    "description": "The secret itself; a warning, and an error with --strict.",
                },
            ],
        })
    }
}

impl Reference {
    /// The secret; `None` when it cannot be had, which is then a problem.
    pub(super) fn resolve(&self, path: &Path, check: &mut Check<'_>) -> Option<Secret> {
        let (what, found) = match self {
            Reference::Env { env } => (env.clone(), Ok(check.environment.secret(env))),
            Reference::File { file } => {
                check.files.push(file.clone());
                (file.display().to_string(), read(file).map(Some))
            }
            Reference::Literal(secret) => {
                check.literal(path);
                ("the secret".to_owned(), Ok(Some(secret.clone())))
            }
        };
        let (message, advice) = match found {
            Ok(Some(secret)) if is_sendable(&secret) => return Some(secret),
            Ok(Some(secret)) if secret.expose().is_empty() => {
                (format!("{what} is empty"), "put the secret there".to_owned())
            }
            Ok(Some(_)) => (
                format!("{what} has spaces, line breaks or other characters that no credential has"),
                "look for a stray quotation mark, comment or second line".to_owned(),
            ),
            Ok(None) => {
                (format!("the environment variable {what} is not set"), format!("set it: export {what}=…"))
            }
            Err(error) => {
                (format!("{what} cannot be read: {error}"), "check its path and permissions".to_owned())
            }
        };
        check.error(path, message, advice);
        None
    }
}

/// Visible ASCII: what can stand in a header.
fn is_sendable(secret: &Secret) -> bool {
    !secret.expose().is_empty() && secret.expose().bytes().all(|byte| byte.is_ascii_graphic())
}

/// What is in a file, without the line break at its end.
pub(super) fn read(file: &FilePath) -> std::io::Result<Secret> {
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(file)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
