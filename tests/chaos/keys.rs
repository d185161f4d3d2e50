//! A provider's credential goes to that provider, and is never seen again.

use std::net::TcpListener;

use merit::sim::credential_digest;

use super::caller::Ask;
use super::canon::{Seen, judge};
use super::stage::{CANARY, PATIENT, Stage, provider};
use crate::support::{Fallible, http};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_not_followed() -> Fallible<()> {
    let elsewhere = TcpListener::bind("127.0.0.1:0")?;
    elsewhere.set_nonblocking(true)?;
    let location = elsewhere.local_addr()?;
    let statuses = [301, 302, 303, 307, 308];
    let stage = Stage::set(&["leading"], |sim| {
        let url = sim.provider("leading").map(merit::sim::Provider::base_url).unwrap_or_default();
        let upstream = |status| format!("fault/status={status}&location=http://{location}/");
        let models = statuses.map(|status| (format!("to-{status}"), upstream(status)));
        format!("{PATIENT}{}", provider("leading", &url, 1.0, &models))
    })
    .await?;
    for status in statuses {
        let ask = Ask::of(&format!("to-{status}"), format!("to-{status}")).streamed(status % 2 == 0);
        let heard = stage.ask(&ask).await?;
        assert_eq!(judge(&heard, &ask)?, Seen::Error { status: 502, code: "upstream_protocol".to_owned() });
        assert!(!stage.journal(&ask.tag).is_empty(), "{status} was never met");
        assert_eq!(heard.header("location"), None);
    }
    assert!(elsewhere.accept().is_err(), "a redirect was followed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_an_upstream_echoes_is_taken_out_everywhere() -> Fallible<()> {
    let behaviours =
        ["echo-key", "echo-key-error", "status=401&quirks=echo-key-body", "status=500&quirks=echo-key-body"];
    let stage = Stage::set(&["echoing"], |sim| {
        let url = sim.provider("echoing").map(merit::sim::Provider::base_url).unwrap_or_default();
        let model =
            |at: usize, stream: bool| (format!("echo-{at}-{stream}"), format!("fault/{}", behaviours[at]));
        let models: Vec<_> = (0..4).flat_map(|at| [false, true].map(|stream| model(at, stream))).collect();
        format!("[log]\nlevel = \"trace\"\n{PATIENT}{}", provider("echoing", &url, 1.0, &models))
    })
    .await?;
    let mut seen = Vec::new();
    for (at, behaviour) in behaviours.iter().enumerate() {
        for stream in [false, true] {
            let name = format!("echo-{at}-{stream}");
            let ask = Ask::of(&name, name.as_str());
            let ask = if stream { ask.streamed(true) } else { ask };
            let heard = stage.ask(&ask).await?;
            judge(&heard, &ask)?;
            let all = format!("{:?}{}{}", heard.headers, heard.text(), stage.decision(&heard)?);
            assert!(!all.contains(CANARY), "{behaviour}, stream {stream}: {all}");
            let entry = stage.journal(&ask.tag).pop().ok_or("nobody was asked")?;
            assert_eq!(entry.credential, Some(credential_digest(CANARY)), "the key was sent");
            seen.push(heard.status);
        }
    }
    assert_eq!(seen, [200, 200, 400, 400, 502, 502, 502, 502]);
    let metrics = http::get(stage.gateway.admin, "/metrics")?.body;
    let providers = http::get(stage.gateway.admin, "/admin/v1/providers")?.body;
    for (place, text) in [("log", stage.gateway.log()), ("metrics", metrics), ("providers", providers)] {
        assert!(!text.is_empty() && !text.contains(CANARY), "{place}");
    }
    Ok(())
}

/// The usage chunk is written anew, with members of the upstream's own in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_in_the_last_chunk_is_taken_out_too() -> Fallible<()> {
    let stage = Stage::set(&["echoing"], |sim| {
        let url = sim.provider("echoing").map(merit::sim::Provider::base_url).unwrap_or_default();
        format!("{PATIENT}{}", provider("echoing", &url, 1.0, &[("last".to_owned(), "any".to_owned())]))
    })
    .await?;
    let chunk = |rest: String| {
        format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",{rest}}}\n\n"
        )
    };
    let choice = |delta: &str, finish: &str| {
        chunk(format!(
            "\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}],\"usage\":null"
        ))
    };
    let usage =
        format!("{{\"prompt_tokens\":3,\"completion_tokens\":1,\"total_tokens\":4,\"note\":\"{CANARY}\"}}");
    let answer = [
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned(),
        choice("{\"role\":\"assistant\",\"content\":\"hello\"}", "null"),
        choice("{}", "\"stop\""),
        chunk(format!("\"choices\":[],\"usage\":{usage},\"debug\":\"{CANARY}\"")),
        "data: [DONE]\n\n".to_owned(),
    ];
    let script = answer.concat().escape_default().to_string();
    stage.provider("echoing").next(&[&format!("[send \"{script}\", fin]")])?;
    let ask = Ask::of("last", "last").streamed(true);
    let heard = stage.ask(&ask).await?;
    let text = heard.text();
    assert!(text.contains("\"prompt_tokens\":3") && text.contains("***"), "the usage is told: {text}");
    assert!(!text.contains(CANARY), "{text}");
    Ok(())
}
