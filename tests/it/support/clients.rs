//! The official clients, driven by `tests/sdk`.

use std::process::Command;

use serde_json::Value;

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
            Client::Node => {
                let mut command = Command::new("node");
                command.arg(installed::node_story()?);
                command
            }
        };
        let output = command.args([base_url, key, model]).output()?;
        let printed: Value = serde_json::from_slice(&output.stdout).map_err(|error| {
            let errors = String::from_utf8_lossy(&output.stderr);
            format!("{self:?} printed no result ({error}), {}: {errors}", output.status)
        })?;
        Ok(Seen(printed))
    }
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
