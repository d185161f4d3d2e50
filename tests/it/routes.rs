//! Every path of both listeners, tried by a stranger, by somebody with a wrong
//! key and by somebody who may: nothing opens that should not.

use crate::support::Fallible;
use crate::support::chat::chat;
use crate::support::gateway::{Gateway, Setup};
use crate::support::http;
use crate::support::keys::configured;
use crate::support::market::Market;

const TOKEN: &str = "the-operators-token";

/// What anybody may ask the API listener.
const OPEN: [(&str, &str); 4] = [("HEAD", "/"), ("GET", "/"), ("GET", "/livez"), ("GET", "/readyz")];

/// The rest of it: method, path, and the status for whoever has a key.
const CLOSED: [(&str, &str, u16); 18] = [
    ("POST", "/v1/chat/completions", 200),
    ("GET", "/v1/models", 200),
    ("HEAD", "/v1/models", 200),
    ("GET", "/v1/models/small", 200),
    ("GET", "/v1/decisions/01a20fa6-a36f-71d6-aaf3-206071ac5077", 404),
    ("POST", "/v1/responses", 501),
    ("POST", "/v1/messages", 501),
    ("POST", "/v1/messages/count_tokens", 501),
    ("POST", "/v1/embeddings", 501),
    ("POST", "/v1/completions", 501),
    ("POST", "/v1/audio/speech", 501),
    ("POST", "/v1/audio/transcriptions", 501),
    ("POST", "/v1/images/generations", 501),
    ("POST", "/v1/images/edits", 501),
    ("POST", "/v1/moderations", 501),
    ("POST", "/v1/rerank", 501),
    ("GET", "/v1/me", 200),
    ("POST", "/v1/feedback", 400),
];

/// What anybody may ask the admin listener.
const ADMIN_OPEN: [&str; 4] = ["/livez", "/readyz", "/readyz?verbose", "/metrics"];

/// The rest of it.
const ADMIN_CLOSED: [(&str, &str, u16); 17] = [
    ("GET", "/", 200),
    ("POST", "/admin/v1/reload?dry_run=1", 200),
    ("POST", "/admin/v1/explain", 200),
    ("GET", "/admin/v1/providers", 200),
    ("GET", "/admin/v1/prices", 200),
    ("GET", "/admin/v1/decisions", 200),
    ("GET", "/admin/v1/decisions/01a20fa6-a36f-71d6-aaf3-206071ac5077", 404),
    ("GET", "/admin/v1/openapi.json", 200),
    ("GET", "/admin/v1/keys", 200),
    ("GET", "/admin/v1/customers", 200),
    ("GET", "/admin/v1/organisations", 200),
    ("GET", "/admin/v1/plans", 200),
    ("GET", "/admin/v1/budgets", 200),
    ("GET", "/admin/v1/usage", 200),
    ("GET", "/admin/v1/ledger/verify", 200),
    ("GET", "/admin/v1/audit", 200),
    ("GET", "/admin/v1/nothing", 404),
];

fn start(market: &Market) -> Fallible<Gateway> {
    Gateway::start_with(&Setup {
        config: &format!("{}{}", configured(&[("app", "")]), market.config()),
        environment: &[("MERIT_ADMIN_TOKEN", TOKEN)],
        ..Setup::default()
    })
}

#[test]
fn the_api_opens_to_keys_alone() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    for (method, path) in OPEN {
        assert_eq!(http::send(gateway.api, method, path, &[], "")?.status, 200, "{method} {path}");
    }
    for (method, path, status) in CLOSED {
        let body = if method == "POST" { chat("small").to_string() } else { String::new() };
        for spelling in [path.to_owned(), path.trim_start_matches("/v1").to_owned(), format!("{path}/")] {
            let asked = market.entries().len();
            for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("x-api-key", TOKEN)]] {
                let answer = http::send(gateway.api, method, &spelling, headers, &body)?;
                assert_eq!(answer.status, 401, "{method} {spelling} {headers:?}: {}", answer.body);
            }
            assert_eq!(market.entries().len(), asked, "{method} {spelling} reached an upstream");
            let answer =
                http::send(gateway.api, method, &spelling, &[("authorization", "Bearer sk-app")], &body)?;
            assert_eq!(answer.status, status, "{method} {spelling}: {}", answer.body);
        }
    }
    // Wrong methods and unknown paths give nothing away but that.
    for (method, path, status) in [("GET", "/v1/chat/completions", 405), ("GET", "/v1/unknown", 404)] {
        assert_eq!(http::send(gateway.api, method, path, &[], "")?.status, status, "{path}");
    }
    assert_eq!(market.entries().len(), 3, "one for each spelling of the one path that asks upstreams");
    Ok(())
}

#[test]
fn the_admin_listener_opens_to_its_token_alone() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = start(&market)?;
    for path in ADMIN_OPEN {
        assert_eq!(http::get(gateway.admin, path)?.status, 200, "{path}");
    }
    let right = format!("Bearer {TOKEN}");
    for (method, path, status) in ADMIN_CLOSED {
        let body = if method == "POST" { chat("small").to_string() } else { String::new() };
        for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", "Bearer sk-app")]]
        {
            let answer = http::send(gateway.admin, method, path, headers, &body)?;
            assert_eq!(answer.status, 401, "{method} {path} {headers:?}: {}", answer.body);
            assert_eq!(answer.error_code()?, "invalid_api_key");
        }
        let token = ("authorization", right.as_str());
        let answer = http::send(gateway.admin, method, path, &[token], &body)?;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let foreign = [token, ("sec-fetch-site", "cross-site")];
        assert_eq!(http::send(gateway.admin, method, path, &foreign, &body)?.status, 403, "{path}");
    }
    assert_eq!(market.entries().len(), 0, "the admin listener asks nobody");
    Ok(())
}

#[test]
fn metrics_are_protected_where_that_is_asked_for() -> Fallible<()> {
    let market = Market::of_one()?;
    let gateway = Gateway::start_with(&Setup {
        config: &market.config(),
        arguments: &["--set", "admin.protect_metrics=true"],
        environment: &[("MERIT_ADMIN_TOKEN", TOKEN)],
        ..Setup::default()
    })?;
    assert_eq!(http::get(gateway.admin, "/metrics")?.status, 401);
    let token = format!("Bearer {TOKEN}");
    assert_eq!(http::get_as(gateway.admin, "/metrics", &[("authorization", &token)])?.status, 200);
    assert_eq!(http::get(gateway.admin, "/livez")?.status, 200);
    Ok(())
}
