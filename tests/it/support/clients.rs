//! The official clients, driven by `tests/sdk`.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{Fallible, installed};

/// A client that customers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Python,
    Node,
    /// Anthropic's own, which goes through other steps (`tests/sdk/messages.py`)
    /// and is given a base URL without `/v1`.
    Messages,
    /// AWS's own, with steps of its own too (`tests/sdk/bedrock.py`), given the
    /// base URL as providers have it.
    Bedrock,
    /// Google's own, with steps of its own too (`tests/sdk/contents.py`), given a
    /// base URL without a version.
    Contents,
    /// `OpenAI`'s, which puts streams together (`tests/sdk/accumulate.py`).
    Accumulating,
}

/// What a client saw, step by step (`tests/sdk/story.py` lists the steps).
#[derive(Debug)]
pub(crate) struct Seen(Value);

impl Client {
    /// Lets the client go through all steps at `base_url` (ends in `/v1`).
    ///
    /// # Errors
    /// When it could not be run or printed no result. Steps that failed are in
    /// the result.
    pub(crate) fn tell(self, base_url: &str, key: &str, model: &str) -> Fallible<Seen> {
        let mut command = match self {
            Client::Python => python("story.py")?,
            Client::Messages => python("messages.py")?,
            Client::Bedrock => python("bedrock.py")?,
            Client::Contents => python("contents.py")?,
            Client::Accumulating => python("accumulate.py")?,
            Client::Node => {
                let mut command = Command::new("node");
                command.arg(installed::node_story()?);
                command
            }
        };
        printed(&command.args([base_url, key, model]).output()?)
    }
}

/// The `authorization` with which AWS's own client signs a request for Bedrock that
/// was sent to `url` with these headers.
pub(crate) fn signed_by_aws(
    url: &str,
    secret: &str,
    region: &str,
    headers: &Value,
    body: &str,
) -> Fallible<String> {
    let mut command = python("sigv4.py")?;
    command.args([url, secret, region]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let sent = json!({ "headers": headers, "body": body }).to_string();
    child.stdin.take().ok_or("no standard input")?.write_all(sent.as_bytes())?;
    let seen = printed(&child.wait_with_output()?)?;
    let signed = seen.step("signed")?.get("authorization").and_then(Value::as_str);
    Ok(signed.ok_or("it signed nothing")?.to_owned())
}

fn printed(output: &Output) -> Fallible<Seen> {
    let printed: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("the client printed no result ({error}), {}: {errors}", output.status)
    })?;
    Ok(Seen(printed))
}

fn python(script: &str) -> Fallible<Command> {
    let mut command = Command::new(installed::python()?);
    command.arg(installed::root().join("tests/sdk").join(script));
    Ok(command)
}

impl Seen {
    /// What one step saw.
    ///
    /// # Errors
    /// When the step failed or does not exist.
    pub(crate) fn step(&self, name: &str) -> Fallible<&Value> {
        let step = self.0.pointer(&format!("/steps/{name}")).ok_or_else(|| format!("no step {name}"))?;
        match step.get("failed") {
            Some(why) => Err(format!("{name}: {why}").into()),
            None => Ok(step),
        }
    }

    /// The text a step got.
    pub(crate) fn content(&self, name: &str) -> Fallible<&str> {
        self.step(name)?
            .get("content")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{name} got no text").into())
    }

    /// Names of the steps that failed, with why.
    pub(crate) fn failed(&self) -> Vec<String> {
        let steps = self.0.get("steps").and_then(Value::as_object).into_iter().flatten();
        steps.filter_map(|(name, step)| step.get("failed").map(|why| format!("{name}: {why}"))).collect()
    }
}
