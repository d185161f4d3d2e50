//! Behaviours that do not end as they should.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::client::{Seen, ask, ask_and_close, body, connect, parts, read_until, request};
use super::{Ending, Sim, ended, provider, sim};
use crate::sim::Sent;
use crate::sim::faults::FAULTS;

/// Waits until there are more than `before` requests and all have ended.
async fn all_ended(sim: &Sim, before: u64) {
    while sim.journal().total() == before || sim.journal().running() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_behaviour_ends_as_the_journal_says() {
    let sim = sim().await;
    for (name, ..) in FAULTS {
        let name =
            name.replace('N', if name.starts_with("status") || name.contains("l-N") { "500" } else { "429" });
        if ["stall", "pings", "bench", "slow-first", "slow-tok", "slow-head"]
            .iter()
            .any(|p| name.starts_with(p))
        {
            continue; // these do not end, or not soon, or are not written down; see below
        }
        for stream in [true, false] {
            let mut connection = connect(provider(&sim)).await;
            let before = sim.journal().total();
            connection.write_all(request(&body(&format!("fault/{name}"), stream)).as_bytes()).await.unwrap();
            let reader = async {
                let mut sink = Vec::new();
                let _reset_is_fine = tokio::io::AsyncReadExt::read_to_end(&mut connection, &mut sink).await;
                sink.len() as u64
            };
            tokio::select! { _ = reader => {}, () = all_ended(&sim, before) => {} }
            let entry = ended(&sim).await;
            assert_eq!(entry.behaviour, name);
            let cut = ["cut", "reset", "not-http"].iter().any(|prefix| name.starts_with(prefix));
            assert_eq!(matches!(entry.ending, Ending::CutFin | Ending::CutRst), cut, "{name}: {entry:?}");
            assert!(entry.ended >= entry.first_byte, "{name}");
        }
    }
}

#[tokio::test]
async fn cuts_where_it_says() {
    let sim = sim().await;
    for (fault, seen, contents, whole_head) in [
        ("cut", Seen::Closed, 0, false),
        ("reset", Seen::Reset, 0, false),
        ("cut-after-head", Seen::Closed, 0, true),
        ("cut-after-preamble", Seen::Closed, 0, true),
        ("cut-after-3", Seen::Closed, 3, true),
        ("reset-after-3?gap=2ms", Seen::Reset, 3, true),
        ("cut-after-3?framing=length", Seen::Closed, 3, true),
        ("cut-after-3?framing=close", Seen::Closed, 3, true),
    ] {
        let (bytes, ending) = ask(provider(&sim), fault, true).await;
        let entry = ended(&sim).await;
        assert_eq!(ending, seen, "{fault}");
        assert_eq!(entry.content_events, contents, "{fault}");
        assert_eq!(entry.words, u64::from(contents), "{fault}");
        assert_eq!(entry.sent, Sent::default(), "{fault}");
        let expected = if seen == Seen::Reset { Ending::CutRst } else { Ending::CutFin };
        assert_eq!(entry.ending, expected, "{fault}");
        if seen == Seen::Closed {
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.contains("\r\n\r\n"), whole_head, "{fault}");
            assert_eq!(text.len() as u64, entry.bytes_written, "{fault}");
            assert_eq!(text.matches("\"delta\":{\"content\":\"").count(), contents as usize, "{fault}");
            assert!(!text.ends_with("0\r\n\r\n"), "{fault}");
        }
    }
}

#[tokio::test]
async fn cuts_inside_characters_and_json() {
    let sim = sim().await;
    let (bytes, _) = ask(provider(&sim), "cut-mid-char?framing=close", true).await;
    assert!(String::from_utf8(bytes).is_err(), "half a character is not UTF-8");
    let (bytes, _) = ask(provider(&sim), "cut-mid-json?framing=close", true).await;
    let text = String::from_utf8(bytes).unwrap();
    let last = text.rsplit("data: ").next().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(last).is_err() && last.starts_with('{'), "{last}");
    let (whole, _) = ask(provider(&sim), "until-close", true).await;
    let head = parts(std::str::from_utf8(&whole).unwrap()).0.len() + 4;
    for count in [0, 1, 7, 100, 333] {
        let (bytes, _) = ask(provider(&sim), &format!("cut-bytes-{count}?framing=close"), true).await;
        assert_eq!(parts(std::str::from_utf8(&bytes).unwrap()).1.len(), count);
        assert!(whole.len() > head + count, "the cut is inside");
    }
}

#[tokio::test]
async fn notices_a_client_that_leaves_while_it_stalls_or_pings() {
    let sim = sim().await;
    for (fault, end) in [
        ("stall-after-2", "\"finish_reason\":null}],\"usage\":null}\n\n\r\n"),
        ("stall-after-head", "\r\n\r\n"),
        ("pings-after-2", ": ping\n\n\r\n"),
    ] {
        let mut connection = connect(provider(&sim)).await;
        connection.write_all(request(&body(&format!("fault/{fault}"), true)).as_bytes()).await.unwrap();
        read_until(&mut connection, end).await;
        let entry = sim.journal().last().unwrap();
        assert_eq!(entry.ending, Ending::Running, "{fault}");
        drop(connection);
        let entry = ended(&sim).await;
        assert!(matches!(entry.ending, Ending::ClientClosed | Ending::ClientReset), "{fault}: {entry:?}");
        assert!(!entry.sent.terminal, "{fault}");
    }
    let mut connection = connect(provider(&sim)).await;
    connection.write_all(request(&body("fault/slow-first-byte", true)).as_bytes()).await.unwrap();
    while sim.journal().total() < 4 {
        tokio::task::yield_now().await;
    }
    drop(connection);
    let entry = ended(&sim).await;
    assert_eq!((entry.ending, entry.bytes_written), (Ending::ClientClosed, 0));
    assert!(entry.ended.unwrap() < entry.at + Duration::from_secs(1));
}

#[tokio::test]
async fn junk_is_where_it_should_be() {
    let sim = sim().await;
    let text = ask_and_close(provider(&sim), "malformed", true).await;
    assert!(text.contains("[{\"index\":0,\n\n") && text.contains("[DONE]"));
    let text = ask_and_close(provider(&sim), "big-event-70000", true).await;
    assert!(text.contains(&"a".repeat(70_000)));
    let text = ask_and_close(provider(&sim), "giant-line-200000?framing=close", true).await;
    assert!(text.contains(&"a".repeat(200_000)));
    let text = ask_and_close(provider(&sim), "error-after-3", true).await;
    assert!(text.contains("server_is_overloaded") && !text.contains("[DONE]") && text.ends_with("0\r\n\r\n"));
    assert_eq!(ended(&sim).await.content_events, 3);
    let text = ask_and_close(provider(&sim), "error-after-preamble", true).await;
    assert!(text.contains("\"role\"") && text.contains("server_is_overloaded"));
    let text = ask_and_close(provider(&sim), "error-after-preamble", false).await;
    assert!(text.starts_with("HTTP/1.1 200") && parts(&text).1.starts_with("{\"error\""));
    let text = ask_and_close(provider(&sim), "done-twice", true).await;
    assert_eq!(text.matches("[DONE]").count(), 2);
    assert!(text.contains("too late"));
}

#[tokio::test]
async fn lengths_lie_as_told() {
    let sim = sim().await;
    for (fault, off) in [("short-body", 10_i64), ("long-body?quirks=say-close", -10)] {
        let (bytes, _) = ask(provider(&sim), fault, false).await;
        let (head, body) = parts(std::str::from_utf8(&bytes).unwrap());
        let declared = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        assert_eq!(declared.parse::<i64>().unwrap() - i64::try_from(body.len()).unwrap(), off, "{fault}");
    }
}

#[tokio::test]
async fn a_dead_connection_looks_alive_until_it_is_used() {
    let sim = sim().await;
    let mut connection = connect(provider(&sim)).await;
    let bytes = request(&body("fault/die-on-reuse", true));
    connection.write_all(bytes.as_bytes()).await.unwrap();
    read_until(&mut connection, "0\r\n\r\n").await;
    connection.write_all(bytes.as_bytes()).await.unwrap();
    let (bytes, seen) = super::client::read_to_end(&mut connection).await;
    assert_eq!((bytes.len(), seen), (0, Seen::Reset));
    assert_eq!(sim.journal().total(), 1, "the second request was never read");
}
