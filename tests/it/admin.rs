//! The admin API of the counter: who may change what, based on which version, and
//! what it makes of nonsense.

use serde_json::{Value, json};

use merit::sim::ProviderSpec;

use crate::support::Fallible;
use crate::support::chat::{chat, streamed, with};
use crate::support::gateway::{CHAT, Gateway};
use crate::support::http::{Answer, Events, get, send};
use crate::support::market::{Market, pace};
use crate::support::process::until;

/// Only output costs anything: 2 USD per million tokens.
fn start() -> Fallible<(Market, Gateway)> {
    let spec = ProviderSpec { timing: pace(1.0, 200.0), ..ProviderSpec::named("sim") };
    let market = Market::start(vec![spec.model("small", 0.0, 2.0, 0.8)])?;
    let gateway = Gateway::start(&market.config())?;
    Ok((market, gateway))
}

fn ask(gateway: &Gateway, method: &str, path: &str, tag: Option<&str>, body: &Value) -> Fallible<Answer> {
    let headers: Vec<(&str, &str)> = tag.iter().map(|tag| ("if-match", *tag)).collect();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(gateway.admin, method, &format!("/admin/v1/{path}"), &headers, body)
}

fn make(gateway: &Gateway, path: &str, body: &Value) -> Fallible<Value> {
    let made = ask(gateway, "POST", path, None, body)?;
    assert_eq!(made.status, 201, "{path} {body}: {}", made.body);
    assert_eq!(made.must("etag")?, "\"1\"");
    made.json()
}

fn refused(answer: &Answer, status: u16, code: &str) -> Fallible<()> {
    assert_eq!((answer.status, answer.error_code()?.as_str()), (status, code), "{}", answer.body);
    Ok(())
}

fn short(tokens: u64) -> Value {
    with(chat("small"), "max_tokens", json!(tokens))
}

fn chat_with(gateway: &Gateway, key: &Value, body: &Value) -> Fallible<Answer> {
    gateway.chat_as(&[("x-api-key", key.as_str().ok_or("no key")?)], body)
}

/// Every route is in the document because it is made from its description; here
/// it is tried that the document tells the truth, and that nothing goes round it.
#[test]
fn the_document_has_every_route() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let document = get(gateway.admin, "/admin/v1/openapi.json")?.json()?;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    let paths = document["paths"].as_object().ok_or("no paths")?;
    let mut operations = 0;
    for (path, item) in paths {
        for method in item.as_object().ok_or("no operations")?.keys().filter(|key| *key != "parameters") {
            operations += 1;
            let (method, path) = (method.to_uppercase(), path.replace("{id}", "999999"));
            let answer = send(gateway.admin, &method, &path, &[("if-match", "*")], "{}")?;
            assert!(answer.status != 405 && answer.status < 500, "{method} {path}: {}", answer.body);
            assert!(!answer.body.contains("no such path"), "{method} {path}: {}", answer.body);
        }
    }
    assert!(operations >= 38, "{operations}");
    for reference in document.to_string().split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(document.pointer(&format!("/components/schemas/{name}")).is_some(), "no schema {name}");
    }
    let source = crate::support::installed::root().join("src");
    for file in ["admin.rs", "admin/counter.rs"] {
        let text = std::fs::read_to_string(source.join(file))?;
        assert!(!text.contains(".route("), "{file} makes a route that is not described");
    }
    Ok(())
}

#[test]
fn a_change_is_based_on_what_is_there() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let tried = ask(&gateway, "POST", "customers?dry_run=1", None, &json!({ "name": "acme" }))?;
    assert_eq!((tried.status, tried.must("x-merit-dry-run")?), (200, "1"), "{}", tried.body);
    assert_eq!(tried.json()?["id"], json!(0));
    let customer = make(&gateway, "customers", &json!({ "name": "acme", "requests_per_minute": 9 }))?;
    let path = format!("customers/{}", customer["id"]);
    refused(&ask(&gateway, "POST", "customers", None, &json!({ "name": "acme" }))?, 409, "conflict")?;
    refused(
        &ask(&gateway, "POST", "customers?dry_run=1", None, &json!({ "name": "acme" }))?,
        409,
        "conflict",
    )?;

    let change = json!({ "requests_per_minute": null, "concurrency": 3 });
    refused(&ask(&gateway, "PATCH", &path, None, &change)?, 428, "precondition_required")?;
    refused(&ask(&gateway, "PATCH", &path, Some("\"7\""), &change)?, 412, "precondition_failed")?;
    refused(&ask(&gateway, "DELETE", &path, Some("W/\"1\""), &Value::Null)?, 412, "precondition_failed")?;
    let tried = ask(&gateway, "PATCH", &format!("{path}?dry_run=1"), Some("\"1\""), &change)?;
    assert_eq!(tried.json()?["concurrency"], json!(3), "{}", tried.body);
    assert_eq!(
        ask(&gateway, "GET", &path, None, &Value::Null)?.must("etag")?,
        "\"1\"",
        "nothing was changed"
    );
    let changed = ask(&gateway, "PATCH", &path, Some("\"1\""), &change)?;
    assert_eq!((changed.status, changed.must("etag")?), (200, "\"2\""), "{}", changed.body);
    let now = changed.json()?;
    assert_eq!((&now["requests_per_minute"], &now["concurrency"]), (&Value::Null, &json!(3)), "{now}");
    refused(&ask(&gateway, "PATCH", &path, Some("\"1\""), &change)?, 412, "precondition_failed")?;

    let wrong = [
        json!({ "name": "" }),
        json!({ "name": "a\u{7}b" }),
        json!({ "name": "x".repeat(121) }),
        json!({ "nmae": "x" }),
        json!({ "name": "x", "requests_per_minute": -1 }),
        json!({ "name": "x", "requests_per_minute": 1e308 }),
        json!({ "name": "x", "plan": 12345 }),
        json!({ "name": "x", "parent": 12345 }),
        json!([]),
    ];
    for body in &wrong {
        refused(&ask(&gateway, "POST", "customers", None, body)?, 400, "invalid_request")?;
    }
    for path in
        ["customers?limit=0", "customers?limit=1001", "customers?cursor=x", "customers?nmae=x", "usage?by=x"]
    {
        refused(&ask(&gateway, "GET", path, None, &Value::Null)?, 400, "invalid_request")?;
    }
    for path in ["customers/0", "customers/x", "customers/99999999999999999999", "keys/1", "plans/1"] {
        refused(&ask(&gateway, "GET", path, None, &Value::Null)?, 404, "not_found")?;
    }
    let log = ask(&gateway, "GET", "audit", None, &Value::Null)?.json()?;
    let rows = log["data"].as_array().ok_or("no rows")?;
    assert_eq!(rows.len(), 2, "what was made and what was changed, not what was tried: {log}");
    assert_eq!((&rows[0]["actor"], &rows[0]["action"]), (&json!("admin"), &json!("account")), "{log}");
    Ok(())
}

/// Names are text and nothing else, wherever they are asked for.
#[test]
fn metacharacters_are_letters() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let names = ["%", "_", "a%", "'; DROP TABLE accounts; --", "\" OR 1=1", "a\\_b", "ключ 🔑", "*"];
    for name in names {
        make(&gateway, "customers", &json!({ "name": name }))?;
    }
    for name in names {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
        let found = ask(&gateway, "GET", &format!("customers?{query}"), None, &Value::Null)?.json()?;
        let rows = found["data"].as_array().ok_or("no rows")?;
        assert_eq!(rows.len(), 1, "{name}: {found}");
        assert_eq!(rows[0]["name"], json!(name));
    }
    for path in ["usage?customer=1%20OR%201=1", "usage?from=%27%3B--", "budgets?account=1;--"] {
        refused(&ask(&gateway, "GET", path, None, &Value::Null)?, 400, "invalid_request")?;
    }
    // Page by page, each exactly once.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ask(&gateway, "GET", &format!("customers?limit=3{cursor}"), None, &Value::Null)?.json()?;
        seen.extend(page["data"].as_array().ok_or("no rows")?.iter().map(|row| row["name"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, names.map(|name| json!(name)));
    Ok(())
}

#[test]
fn keys_are_shown_once_rotated_with_overlap_and_revoked_at_once() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let customer = make(&gateway, "customers", &json!({ "name": "acme" }))?;
    let made = make(&gateway, "keys", &json!({ "name": "app", "parent": customer["id"] }))?;
    let path = format!("keys/{}", made["id"]);
    let shown = ask(&gateway, "GET", &path, None, &Value::Null)?;
    assert!(shown.json()?["key"].is_null() && !shown.body.contains("sk-merit-"), "{}", shown.body);
    assert_eq!(chat_with(&gateway, &made["key"], &short(4))?.status, 200);

    let text = made["key"].as_str().ok_or("no key")?;
    // Odd whitespace and encodings: refused as unknown, or as no credential, never more.
    let odd = [
        format!("{text}\u{a0}"),
        format!("{text} {text}"),
        text.to_uppercase(),
        format!("{text}%20"),
        "%00".to_owned(),
    ];
    for key in &odd {
        let answer = gateway.chat_as(&[("x-api-key", key)], &short(4))?;
        assert!(matches!(answer.status, 400 | 401), "{key}: {} {}", answer.status, answer.body);
    }

    let rotated =
        ask(&gateway, "POST", &format!("{path}/rotate?overlap_seconds=3600"), Some("*"), &Value::Null)?;
    let new = rotated.json()?;
    assert_eq!(new["texts"].as_array().map(Vec::len), Some(2), "{new}");
    for key in [&made["key"], &new["key"]] {
        assert_eq!(chat_with(&gateway, key, &short(4))?.status, 200);
    }
    let newest = ask(&gateway, "POST", &format!("{path}/rotate"), Some("*"), &Value::Null)?.json()?;
    for (key, status) in [(&made["key"], 401), (&new["key"], 401), (&newest["key"], 200)] {
        assert_eq!(chat_with(&gateway, key, &short(4))?.status, status);
    }
    assert_eq!(ask(&gateway, "DELETE", &path, Some("*"), &Value::Null)?.status, 200);
    refused(&chat_with(&gateway, &newest["key"], &short(4))?, 401, "invalid_api_key")?;
    refused(&ask(&gateway, "DELETE", &path, Some("*"), &Value::Null)?, 404, "not_found")
}

#[test]
fn a_limit_below_what_is_spent_stops_the_next_request() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let customer = make(&gateway, "customers", &json!({ "name": "acme" }))?;
    let key = make(&gateway, "keys", &json!({ "name": "app", "parent": customer["id"] }))?;
    let body = json!({ "account": customer["id"], "limit_usd": 1, "window": "month" });
    let budget = make(&gateway, "budgets", &body)?;
    assert_eq!(budget["limit_usd"], json!("1.000000000"), "{budget}");
    assert_eq!(chat_with(&gateway, &key["key"], &short(4))?.status, 200);
    let path = format!("budgets/{}", budget["id"]);
    let lowered =
        ask(&gateway, "PATCH", &path, Some("\"1\""), &json!({ "limit_usd": "0.000000001" }))?.json()?;
    assert_eq!(
        (&lowered["spent_usd"], &lowered["left_usd"]),
        (&json!("0.000008000"), &json!("-0.000007999")),
        "{lowered}"
    );
    refused(&chat_with(&gateway, &key["key"], &short(4))?, 402, "budget_exceeded")?;
    let me =
        send(gateway.api, "GET", "/v1/me", &[("x-api-key", key["key"].as_str().unwrap_or_default())], "")?;
    assert_eq!(me.json()?["budgets"][0]["remaining_usd"], json!("0.000000000"), "{}", me.body);
    let grown =
        ask(&gateway, "POST", &format!("{path}/credit"), None, &json!({ "amount_usd": "0.5", "note": "x" }))?;
    assert_eq!(grown.status, 200, "{}", grown.body);
    assert_eq!(chat_with(&gateway, &key["key"], &short(4))?.status, 200);
    for amount in [json!("-1"), json!(1e308), json!("9223372036854775808"), json!("x"), json!(-1)] {
        let answer =
            ask(&gateway, "POST", &format!("{path}/credit"), None, &json!({ "amount_usd": amount }))?;
        refused(&answer, 400, "invalid_request")?;
        let answer = ask(&gateway, "PATCH", &path, Some("*"), &json!({ "limit_usd": amount }))?;
        refused(&answer, 400, "invalid_request")?;
    }
    Ok(())
}

#[test]
fn a_customer_who_is_deleted_mid_stream_gets_its_end_and_no_more() -> Fallible<()> {
    let (_market, gateway) = start()?;
    let customer = make(&gateway, "customers", &json!({ "name": "acme" }))?;
    let key = make(&gateway, "keys", &json!({ "name": "app", "parent": customer["id"] }))?;
    let text = key["key"].as_str().ok_or("no key")?;
    let body = with(streamed("small"), "max_tokens", json!(100)).to_string();
    let mut stream = Events::open(gateway.api, CHAT, &[("x-api-key", text)], body)?;
    assert!(stream.next()?.is_some());
    let ended = ask(&gateway, "DELETE", &format!("customers/{}", customer["id"]), Some("*"), &Value::Null)?;
    assert_eq!(ended.status, 200, "{}", ended.body);
    refused(&chat_with(&gateway, &key["key"], &short(4))?, 401, "invalid_api_key")?;
    let rest = stream.rest()?;
    assert_eq!(rest.last().map(String::as_str), Some("[DONE]"), "what was admitted is served: {rest:?}");
    until("it is billed", || {
        let usage = ask(&gateway, "GET", "usage?by=customer", None, &Value::Null)?.json()?;
        let row =
            usage["data"].as_array().and_then(|rows| rows.iter().find(|row| row["name"] == json!("acme")));
        Ok(row.is_some_and(|row| row["requests"] == json!(1)))
    })?;
    let proof = ask(&gateway, "GET", "ledger/verify", None, &Value::Null)?.json()?;
    assert_eq!((&proof["wrong"], &proof["open"]), (&json!(0), &json!(0)), "{proof}");
    Ok(())
}

/// What a provider says of tokens is believed only where it can be true; and an
/// id that a caller forges, or uses twice, is its own affair.
#[test]
fn nonsense_neither_costs_nor_breaks_anything() -> Fallible<()> {
    let (market, gateway) = start()?;
    let customer = make(&gateway, "customers", &json!({ "name": "acme" }))?;
    let key = make(&gateway, "keys", &json!({ "name": "app", "parent": customer["id"] }))?;
    let budget = json!({ "account": customer["id"], "limit_usd": "0.01", "window": "total" });
    make(&gateway, "budgets", &budget)?;
    for tokens in ["9223372036854775808", "-1", "1e308", "\"many\""] {
        let answer = format!(
            "{{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"small\",\"choices\":[{{\"index\":0,\
             \"message\":{{\"role\":\"assistant\",\"content\":\"Hi\"}},\"finish_reason\":\"stop\"}}],\
             \"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":{tokens},\"total_tokens\":9}}}}"
        );
        let head = format!(
            "HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: {}\\r\\n\\r\\n",
            answer.len()
        );
        let quoted = answer.replace('"', "\\\"");
        market.provider("sim")?.next(&[&format!("[send \"{head}\", send \"{quoted}\"]")])?;
        let answer = chat_with(&gateway, &key["key"], &short(4))?;
        assert_eq!(answer.status, 200, "{tokens}: {}", answer.body);
        let cost: f64 = answer.must("x-merit-cost-usd")?.parse()?;
        assert!((0.0..=0.000_1).contains(&cost), "{tokens}: charged {cost}");
    }
    let mut ids = Vec::new();
    for forged in [
        "01a20fa6-a36f-71d6-aaf3-206071ac5077",
        "01a20fa6-a36f-71d6-aaf3-206071ac5077",
        "' OR 1=1",
        "x\u{e9}",
    ] {
        let text = key["key"].as_str().unwrap_or_default();
        let answer = gateway.chat_as(&[("x-api-key", text), ("x-request-id", forged)], &short(4))?;
        assert_eq!(answer.status, 200, "{forged}: {}", answer.body);
        let id = answer.must("x-request-id")?.to_owned();
        assert!(id != forged && !ids.contains(&id), "{forged} became the request's own id");
        ids.push(id);
    }
    refused(&chat_with(&gateway, &key["key"], &chat("unknown"))?, 404, "model_not_found")?;
    // 128 answers of 1,000 tokens are 0.256 USD, which is not there; one is.
    let many = with(short(1_000), "n", json!(128));
    refused(&chat_with(&gateway, &key["key"], &many)?, 402, "budget_exceeded")?;
    until("everything is recorded", || {
        let records = ask(&gateway, "GET", "ledger", None, &Value::Null)?.json()?;
        Ok(records["data"].as_array().is_some_and(|records| records.len() == 8))
    })?;
    let proof = ask(&gateway, "GET", "ledger/verify", None, &Value::Null)?.json()?;
    assert_eq!(proof["wrong"], json!(0), "{proof}");
    Ok(())
}
