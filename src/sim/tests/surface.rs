//! Choosing behaviours, keeping connections, steering and watching from outside.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::client::{ask_and_close, body, connect, parts, read_to_end, read_until, request};
use super::{Ending, ProviderSpec, Scenario, Sim, ended, provider, sim};

/// The status of one plain request on a new connection.
async fn status(sim: &Sim, model: &str) -> u16 {
    let mut connection = connect(provider(sim)).await;
    connection.write_all(request(&body(model, false)).as_bytes()).await.unwrap();
    let mut first = [0; 12];
    connection.read_exact(&mut first).await.unwrap();
    std::str::from_utf8(&first[9..]).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_queue_comes_before_the_default_and_the_model_before_both() {
    let sim = sim().await;
    provider(&sim).set("status-503").unwrap();
    provider(&sim).next(&["status-500", r#"[send "HTTP/1.1 418 T\r\n\r\n", fin]"#]).unwrap();
    assert!(provider(&sim).next(&["normal", "nonsense"]).is_err(), "and nothing is added");
    assert_eq!(status(&sim, "fault/status-404").await, 404);
    assert_eq!(status(&sim, "m").await, 500);
    assert_eq!(status(&sim, "m").await, 418);
    assert_eq!(status(&sim, "m").await, 503);
    assert_eq!(status(&sim, "fault/nonsense").await, 404);
    assert_eq!(provider(&sim).requests(), 5);
}

#[tokio::test]
async fn limits_of_a_provider_hold() {
    let mut spec = ProviderSpec::named("a").model("known", 1.0, 2.0, 1.0);
    spec.key = Some("sk-canary".to_owned());
    let sim = Sim::start(Scenario::default().with(spec.clone())).await.unwrap();
    assert_eq!((status(&sim, "known").await, status(&sim, "unknown").await), (200, 404));
    spec.key = Some("another".to_owned());
    let sim = Sim::start(Scenario::default().with(spec.clone())).await.unwrap();
    assert_eq!(status(&sim, "known").await, 401);
    spec.key = None;
    spec.slots = 1;
    let sim = Sim::start(Scenario::default().with(spec)).await.unwrap();
    let mut first = connect(provider(&sim)).await;
    first.write_all(request(&body("fault/stall-after-head", true)).as_bytes()).await.unwrap();
    read_until(&mut first, "\r\n\r\n").await;
    assert_eq!(status(&sim, "known").await, 429);
    drop(first);
    while sim.journal().running() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&sim, "known").await, 200);
}

#[tokio::test]
async fn connections_are_kept_and_pipelined_requests_answered_in_turn() {
    let sim = sim().await;
    let mut connection = connect(provider(&sim)).await;
    let two = request(&body("one", true)) + &request(&body("two", true));
    connection.write_all(two.as_bytes()).await.unwrap();
    let mut text = read_until(&mut connection, "0\r\n\r\n").await;
    while text.matches("[DONE]").count() < 2 {
        text += &read_until(&mut connection, "0\r\n\r\n").await;
    }
    ended(&sim).await;
    let entries = sim.journal().entries();
    assert_eq!(entries.iter().map(|entry| entry.model.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(entries[0].connection, entries[1].connection);
}

#[tokio::test]
async fn the_journal_knows_the_request_and_not_the_key() {
    let sim = sim().await;
    ask_and_close(provider(&sim), "normal", false).await;
    let entry = ended(&sim).await;
    assert_eq!(entry.credential, Some(crate::sim::credential_digest("sk-canary")));
    assert!(entry.body.contains("\"hi\"") && entry.headers.iter().any(|(name, _)| name == "content-type"));
    assert!(!serde_json::to_string(&entry).unwrap().contains("sk-canary"));
}

#[tokio::test]
async fn a_request_that_is_no_proper_http_is_written_down() {
    let sim = sim().await;
    let mut connection = connect(provider(&sim)).await;
    connection
        .write_all(b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let (bytes, _) = read_to_end(&mut connection).await;
    assert!(bytes.starts_with(b"HTTP/1.1 400"));
    assert_eq!(ended(&sim).await.ending, Ending::BadRequest);
}

/// A control request; its JSON.
async fn control(sim: &Sim, method: &str, path: &str, body: &str) -> Value {
    let mut connection = connect(provider(sim)).await;
    let bytes = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    connection.write_all(bytes.as_bytes()).await.unwrap();
    connection.write_all(b"GET / HTTP/0.9\r\n\r\n").await.unwrap(); // makes it close
    let (bytes, _) = read_to_end(&mut connection).await;
    let text = String::from_utf8(bytes).unwrap();
    let json = parts(&text).1;
    serde_json::Deserializer::from_str(&json).into_iter().next().unwrap().unwrap()
}

#[tokio::test]
async fn it_is_steered_and_watched_over_http() {
    let sim = sim().await;
    assert_eq!(
        control(&sim, "POST", "/__behaviour", r#"{"default":"status-500","next":["status-503"]}"#).await,
        json!({})
    );
    assert!(control(&sim, "POST", "/__behaviour", r#"{"default":"nonsense"}"#).await["error"].is_string());
    sim.journal().clear();
    assert_eq!((status(&sim, "m").await, status(&sim, "m").await), (503, 500));
    ended(&sim).await;
    let journal = control(&sim, "GET", "/__journal", "").await;
    assert_eq!(
        (journal[0]["behaviour"].clone(), journal[1]["status"].clone()),
        (json!("status-503"), json!(500))
    );
    assert_eq!(journal[0]["ending"], "complete");
    let all = control(&sim, "GET", "/__behaviours", "").await;
    assert_eq!(all.as_array().unwrap().len(), crate::sim::faults::FAULTS.len());
    control(&sim, "DELETE", "/__journal", "").await;
    assert!(sim.journal().entries().iter().all(|entry| entry.ending == Ending::BadRequest));
    let models = control(&sim, "GET", "/v1/models", "").await;
    assert_eq!(models["object"], "list");
}

#[tokio::test]
async fn benchmarks_are_answered_from_buffers() {
    let spec = ProviderSpec::named("a").default_behaviour("bench?words=100".parse().unwrap());
    let sim = Sim::start(Scenario::default().with(spec)).await.unwrap();
    let mut connection = connect(provider(&sim)).await;
    for stream in [true, false, true] {
        connection.write_all(request(&body("m", stream)).as_bytes()).await.unwrap();
        let text = read_until(&mut connection, if stream { "0\r\n\r\n" } else { "}" }).await;
        assert_eq!(text.matches("\"delta\":{\"content\":\"").count(), if stream { 100 } else { 0 });
        assert_eq!(text.matches("\"completion_tokens\":100,").count(), 1);
    }
    assert_eq!((provider(&sim).requests(), sim.journal().total()), (3, 0));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_run() {
    let run = async || {
        let mut market = Scenario::market().unwrap();
        market.providers.retain(|provider| provider.name == "flaky");
        market.providers[0].name = "a".to_owned();
        market.providers[0].timing = crate::sim::scenario::Timing::default();
        let sim = Sim::start(market).await.unwrap();
        for _ in 0..60 {
            let mut connection = connect(provider(&sim)).await;
            connection.write_all(request(&body("sim-small", false)).as_bytes()).await.unwrap();
            let mut byte = [0];
            let _may_be_cut = connection.read(&mut byte).await;
            while sim.journal().running() > 0 {
                tokio::task::yield_now().await;
            }
        }
        sim.journal().entries().into_iter().map(|entry| (entry.behaviour, entry.good)).collect::<Vec<_>>()
    };
    let first = run().await;
    assert_eq!(first, run().await);
    assert!(first.iter().any(|(behaviour, _)| behaviour != "normal"), "{first:?}");
    assert!(first.iter().any(|(_, good)| !good));
}

#[tokio::test]
async fn dropping_it_ends_connections_and_refuses_new_ones() {
    let sim = sim().await;
    let mut connection = connect(provider(&sim)).await;
    connection.write_all(request(&body("fault/stall-after-head", true)).as_bytes()).await.unwrap();
    read_until(&mut connection, "\r\n\r\n").await;
    let address = provider(&sim).address();
    drop(sim);
    read_to_end(&mut connection).await;
    for _ in 0..1000 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("still accepting");
}
