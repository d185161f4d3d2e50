//! Writes what was planned.

use super::body::{Body, Commas};
use super::parts::{Outcome, Part, What};
use super::quoted;
use super::tools::Tool;
use super::turns::{Role, Turn};

/// `"contents":[…]`
pub(super) fn turns(turns: &[Turn], body: &mut Body<'_>) {
    body.json(b"\"contents\":[");
    let mut commas = Commas::default();
    for turn in turns {
        commas.next(body);
        body.json(match turn.role {
            Role::User => &b"{\"role\":\"user\",\"parts\":["[..],
            Role::Model => b"{\"role\":\"model\",\"parts\":[",
        });
        list(&turn.parts, body);
        body.json(b"]}");
    }
    body.json(b"]");
}

/// `{"parts":[…]}`
pub(super) fn parts(parts: &[Part], body: &mut Body<'_>) {
    body.json(b"{\"parts\":[");
    list(parts, body);
    body.json(b"]}");
}

fn list(parts: &[Part], body: &mut Body<'_>) {
    let mut commas = Commas::default();
    for part in parts {
        commas.next(body);
        body.json(b"{");
        what(&part.what, body);
        if let Some(signature) = &part.signature {
            body.json(format!(",\"thoughtSignature\":{}", quoted(signature)));
        }
        body.json(b"}");
    }
}

fn what(what: &What, body: &mut Body<'_>) {
    match what {
        What::Text(text) => {
            body.json(b"\"text\":");
            body.text(text);
        }
        What::Data(kind, data) => {
            body.json(format!("\"inlineData\":{{\"mimeType\":{},\"data\":", quoted(kind)));
            body.text(data);
            body.json(b"}");
        }
        What::File(kind, place) => {
            body.json(b"\"fileData\":{");
            if let Some(kind) = kind {
                body.json(format!("\"mimeType\":\"{kind}\","));
            }
            body.json(b"\"fileUri\":");
            body.text(place);
            body.json(b"}");
        }
        What::Call { id, name, arguments } => {
            body.json(b"\"functionCall\":{");
            named(id.as_deref(), name, body);
            body.json(format!(",\"args\":{arguments}}}"));
        }
        What::Response { id, name, result } => {
            body.json(b"\"functionResponse\":{");
            named(id.as_deref(), name, body);
            body.json(b",\"response\":");
            outcome(result, body);
            body.json(b"}");
        }
    }
}

fn named(id: Option<&str>, name: &str, body: &mut Body<'_>) {
    if let Some(id) = id {
        body.json(format!("\"id\":{},", quoted(id)));
    }
    body.json(format!("\"name\":{}", quoted(name)));
}

fn outcome(result: &Outcome, body: &mut Body<'_>) {
    match result {
        Outcome::Object(object) => body.json(object),
        Outcome::Value(value) => body.json(format!("{{\"result\":{value}}}")),
        Outcome::Text(text) => {
            body.json(b"{\"result\":");
            body.text(text);
            body.json(b"}");
        }
        Outcome::Missing => body.json(br#"{"error":"the tool gave no result"}"#),
    }
}

/// `,"tools":[…]`, if there are any.
pub(super) fn tools(tools: &[Tool], body: &mut Body<'_>) {
    if tools.is_empty() {
        return;
    }
    body.json(b",\"tools\":[{\"functionDeclarations\":[");
    let mut commas = Commas::default();
    for tool in tools {
        commas.next(body);
        body.json(format!("{{\"name\":{}", quoted(&tool.name)));
        if let Some(description) = &tool.description {
            body.json(b",\"description\":");
            body.text(description);
        }
        if let Some(parameters) = &tool.parameters {
            body.json(format!(",\"parametersJsonSchema\":{parameters}"));
        }
        body.json(b"}");
    }
    body.json(b"]}]");
}

/// `,"generationConfig":{…}`, if it says anything.
pub(super) fn config(members: &[(&'static str, String)], body: &mut Body<'_>) {
    if members.is_empty() {
        return;
    }
    body.json(b",\"generationConfig\":{");
    let mut commas = Commas::default();
    for (name, value) in members {
        commas.next(body);
        body.json(format!("\"{name}\":{value}"));
    }
    body.json(b"}");
}
