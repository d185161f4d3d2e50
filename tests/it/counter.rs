//! The counter: what customers may spend is never more than that, and what the
//! ledger says is what providers did and callers were told.

mod soak;

use serde_json::{Value, json};

use merit::sim::ProviderSpec;
use merit::store::sqlite::Found;
use merit::store::{Group, Line, Mode, Plan, Terms, UsageFilter};
use merit::units::NanoUsd;

use crate::support::Fallible;
use crate::support::accounts::Books;
use crate::support::chat::{chat, with};
use crate::support::gateway::{CHAT, Gateway, Setup};
use crate::support::http::{Answer, Events};
use crate::support::market::Market;
use crate::support::process::until;

/// Output tokens of every answer whose worst case is its cost.
const TOKENS: u64 = 4;
/// What such an answer costs in nano-USD: output alone, at 2 USD per million.
const ANSWER: i64 = 8_000;

/// Only output costs anything, so that the worst case can be met exactly.
fn market() -> Fallible<Market> {
    Market::start(vec![ProviderSpec::named("sim").model("small", 0.0, 2.0, 0.8)])
}

fn start(books: &Books, market: &Market) -> Fallible<Gateway> {
    Gateway::start(&format!("{}{}", books.config(), market.config()))
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

/// A short answer whose length is its limit.
fn short() -> Value {
    with(chat("small"), "max_tokens", json!(TOKENS))
}

fn ask(gateway: &Gateway, key: &str, body: &Value) -> Fallible<Answer> {
    gateway.chat_as(&[("authorization", &bearer(key))], body)
}

/// Everything that the ledger holds; the last records are a moment behind.
fn ledger(books: &Books, at_least: usize) -> Fallible<Vec<Found>> {
    let reader = books.reader()?;
    until("the ledger has them all", || Ok(reader.page(0, 100_000)?.len() >= at_least))?;
    let verified = reader.verify()?;
    assert_eq!(verified.wrong, 0, "{verified:?}");
    Ok(reader.page(0, 100_000)?)
}

#[test]
fn what_is_freed_is_usable_at_once_and_never_more_is_spent() -> Fallible<()> {
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    // Room for one worst case of 100 tokens, and for many real answers.
    let budget = open.budget(customer.id, 210_000, Mode::Strict)?;
    open.close()?;
    let gateway = start(&books, &market)?;
    let body = with(chat("small"), "max_tokens", json!(100));
    let mut told = NanoUsd::ZERO;
    loop {
        let answer = ask(&gateway, &key, &body)?;
        if answer.status != 200 {
            assert_eq!((answer.status, answer.error_code()?.as_str()), (402, "budget_exceeded"));
            break;
        }
        told += nano(answer.must("x-merit-cost-usd")?)?;
    }
    assert!(told.get() > 10_000 && told.get() <= 210_000, "{told}");
    ledger(&books, 1)?;
    until("the ledger is what was told", || {
        Ok(books.reader()?.standing(Line { budget: budget.id, start: 0 })?.settled == told)
    })
}

/// Nine decimals of USD.
fn nano(usd: &str) -> Fallible<NanoUsd> {
    let (whole, rest) = usd.split_once('.').ok_or("no decimals")?;
    assert_eq!(rest.len(), 9, "{usd}");
    Ok(NanoUsd::new(format!("{whole}{rest}").parse()?))
}

#[test]
fn a_plan_decides_what_is_paid_and_the_ledger_keeps_both() -> Fallible<()> {
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let plan = Plan { name: "retail".to_owned(), margin: 2_000, ..Plan::default() };
    let plan = open.plan(Plan { allowance: NanoUsd::new(ANSWER), ..plan })?;
    let customer = open.customer("acme", Terms { plan: Some(plan.id), ..Terms::default() })?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    open.close()?;
    let gateway = start(&books, &market)?;
    // 9,600 with the margin, of which 8,000 are free the first time.
    for paid in ["0.000001600", "0.000009600"] {
        assert_eq!(ask(&gateway, &key, &short())?.must("x-merit-cost-usd")?, paid);
    }
    let stream =
        with(with(short(), "stream", json!(true)), "stream_options", json!({ "include_usage": true }));
    let events =
        Events::open(gateway.api, CHAT, &[("authorization", &bearer(&key))], stream.to_string())?.rest()?;
    let usage = events.iter().find(|event| event.contains("\"cost\"")).ok_or("no cost in the stream")?;
    assert!(usage.contains("0.000009600") || usage.contains("9.6e-6"), "{usage}");
    let records = ledger(&books, 3)?;
    let sums = records.iter().fold((0, 0), |(cost, revenue), found| {
        (cost + found.entry.cost.get(), revenue + found.entry.revenue().get())
    });
    assert_eq!(sums, (3 * ANSWER, 1_600 + 9_600 + 9_600));
    let usage = books.reader()?.usage(&UsageFilter::default(), Group::Customer)?;
    assert_eq!((usage[0].cost.get(), usage[0].revenue.get()), sums);
    let revenue = gateway.metric("merit_revenue_usd_total", &["plan=\"retail\""])?;
    assert!((revenue - 0.000_020_8).abs() < 1e-12, "{revenue}");
    Ok(())
}

#[test]
fn an_output_limit_is_fitted_into_what_is_left_and_that_is_said() -> Fallible<()> {
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    open.budget(customer.id, 41_000, Mode::Fit)?;
    open.close()?;
    let gateway = start(&books, &market)?;
    let answer = ask(&gateway, &key, &with(chat("small"), "max_tokens", json!(5_000)))?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.must("x-merit-warnings")?.contains("lowered to 20 tokens"), "{}", answer.head);
    assert!(market.entries()[0].body.contains("\"max_tokens\":20"), "{}", market.entries()[0].body);
    Ok(())
}

#[test]
fn limits_of_customer_and_key_hold_and_are_told() -> Fallible<()> {
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let limited = |requests| Terms { requests_per_minute: Some(requests), ..Terms::default() };
    let customer = open.customer("acme", limited(5))?;
    let (_, one) = open.key(customer.id, "one", limited(3))?;
    let (_, two) = open.key(customer.id, "two", Terms::default())?;
    open.close()?;
    let gateway = start(&books, &market)?;
    for left in ["2", "1", "0"] {
        let answer = ask(&gateway, &one, &short())?;
        assert_eq!((answer.status, answer.must("x-ratelimit-remaining-requests")?), (200, left));
        assert_eq!(answer.must("x-ratelimit-limit-requests")?, "3");
    }
    let refused = ask(&gateway, &one, &short())?;
    assert_eq!(
        (refused.status, refused.error_code()?.as_str()),
        (429, "rate_limit_exceeded"),
        "{}",
        refused.body
    );
    assert!(refused.must("retry-after")?.parse::<u32>()? >= 1);
    assert!(refused.body.contains("this key may have 3 requests per minute"), "{}", refused.body);
    assert_eq!(ask(&gateway, &two, &short())?.status, 200);
    assert_eq!(ask(&gateway, &two, &short())?.status, 200);
    let refused = ask(&gateway, &two, &short())?;
    assert!(refused.status == 429 && refused.body.contains("this customer"), "{}", refused.body);
    assert_eq!(ask(&gateway, "sk-unknown", &short())?.status, 401);
    Ok(())
}

#[test]
fn a_stream_that_used_up_its_budget_ends_honestly() -> Fallible<()> {
    // A provider that does not honour the limit it was given.
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    open.budget(customer.id, 2 * ANSWER, Mode::Strict)?;
    open.close()?;
    let gateway = start(&books, &market)?;
    let chunk = |text: &str| {
        format!(
            "data: {{\\\"id\\\":\\\"x\\\",\\\"object\\\":\\\"chat.completion.chunk\\\",\\\"created\\\":1,\\\"model\\\":\\\"small\\\",\
             \\\"choices\\\":[{{\\\"index\\\":0,\\\"delta\\\":{{\\\"content\\\":\\\"{text}\\\"}},\\\"finish_reason\\\":null}}]}}\\n\\n"
        )
    };
    let words = chunk("many more words than were allowed ").repeat(20);
    let head = "HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\nconnection: close\\r\\n\\r\\n";
    let more = format!("wait 50ms, send \"{words}\"");
    let script = format!("[send \"{head}\", send \"{words}\", {more}, {more}, fin]");
    market.provider("sim")?.next(&[&script])?;
    let body = with(short(), "stream", json!(true)).to_string();
    let events = Events::open(gateway.api, CHAT, &[("authorization", &bearer(&key))], body)?.rest()?;
    let last: Value = serde_json::from_str(events.last().ok_or("no events")?)?;
    assert_eq!(last.pointer("/error/code"), Some(&json!("budget_exceeded")), "{events:?}");
    assert!(!events.contains(&"[DONE]".to_owned()));
    let record = &ledger(&books, 1)?[0].entry;
    assert_eq!(record.result, "budget_exceeded");
    Ok(())
}

#[test]
fn a_full_disk_refuses_customers_and_recovers_without_a_restart() -> Fallible<()> {
    let (market, books) = (market()?, Books::new()?);
    let open = books.open()?;
    let customer = open.customer("acme", Terms::default())?;
    let (_, key) = open.key(customer.id, "app", Terms::default())?;
    open.close()?;
    let gateway = start(&books, &market)?;
    assert_eq!(ask(&gateway, &key, &short())?.status, 200);
    // No file of the process may grow beyond what the log of the database has now.
    let limit = |bytes: &str| -> Fallible<()> {
        let id = gateway.id().to_string();
        let ran = std::process::Command::new("prlimit")
            .args(["--pid", &id, &format!("--fsize={bytes}")])
            .status()?;
        if ran.success() { Ok(()) } else { Err("prlimit failed".into()) }
    };
    limit("4096:unlimited")?;
    until("customers are refused", || {
        let answer = ask(&gateway, &key, &short())?;
        Ok(answer.status == 503 && answer.error_code()? == "ledger_unavailable")
    })?;
    assert_eq!(gateway.count("merit_store_up", &[])?, 0);
    limit("unlimited:unlimited")?;
    until("customers are served again", || Ok(ask(&gateway, &key, &short())?.status == 200))?;
    until("nothing was lost", || Ok(books.reader()?.page(0, 100_000)?.len() == market.entries().len()))?;
    ledger(&books, 1)?;
    Ok(())
}

#[test]
fn without_accounts_a_gateway_needs_no_store() -> Fallible<()> {
    let market = market()?;
    // A folder cannot be made where a file is.
    let files = [("data", "not a folder")];
    let config = format!("[auth]\npepper = \"x\"\n{}", market.config());
    let gateway = Gateway::start_with(&Setup { config: &config, files: &files, ..Setup::default() })?;
    assert_eq!(gateway.chat(&short())?.status, 200);
    assert_eq!(gateway.state()?.get("store"), Some(&json!("none")));
    let other = Gateway::start(&config)?;
    assert_eq!(other.state()?.get("store"), Some(&json!("up")));
    assert_eq!(other.chat(&short())?.status, 200);
    until("what anybody asks is recorded too", || {
        let reader = merit::store::sqlite::Reader::open(&other.folder().join("data/merit.db"))?;
        Ok(reader.page(0, 10)?.len() == 1)
    })
}
