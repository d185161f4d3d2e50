//! How long stages 3 to 5 take: gather, score, decide. The goal for 50 candidates
//! is 2 µs in the median and 5 µs at the 99th percentile, also while another
//! thread writes what is read; percentiles are printed at the end.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use merit::books::{Books, CircuitSettings, Live, View};
use merit::catalog::{
    Auth, Capabilities, Dialect, Endpoint, EndpointId, ModelId, Objective, Provider, Timeouts,
};
use merit::market::{Ask, Draw, Offer, decide, gather, score};
use merit::outcome::Sample;
use merit::request::{Control, class};
use merit::units::{PicoUsd, Rates};
use tokio::time::Instant;

const NOW: Duration = Duration::from_secs(1000);

struct Member {
    endpoint: Endpoint,
    live: Arc<Live>,
}

fn member(id: u32, provider: &Arc<Provider>, books: &Books) -> Member {
    let identity: Arc<str> = format!("p{id}/m").into();
    let live = books.live(&identity, &"m".into());
    for second in 0..20 {
        let ttft = 0.2 + f64::from(id % 7) * 0.1;
        let sample = Sample { ttft: Some(ttft), itl: Some(0.01), seconds: 3.0, ..Sample::default() };
        live.record(&sample, Duration::from_secs(900 + second));
    }
    let price = |usd| PicoUsd::from_usd_per_mtok(usd).unwrap();
    let rates = Rates { input: price(0.2 + f64::from(id) * 0.01), output: price(0.9), ..Rates::default() };
    let endpoint = Endpoint {
        id: EndpointId(id),
        identity,
        provider: Arc::clone(provider),
        model: ModelId(0),
        upstream: "m".to_owned(),
        rates: Some(Arc::new(rates)),
        price_source: None,
        capabilities: Capabilities::ALL,
        context: Some(128_000),
        max_output: Some(16_000),
        quality: 0.7,
        region: None,
        terms: merit::catalog::Terms::default(),
    };
    Member { endpoint, live }
}

fn market(count: u32) -> Vec<Member> {
    let books = Books::new(CircuitSettings::default());
    let provider = Arc::new(Provider {
        name: "p".to_owned(),
        dialect: Dialect::OpenAi,
        base_url: "http://127.0.0.1:1".parse().unwrap(),
        auth: Auth::None,
        reach: merit::catalog::Reach::default(),
        key: None,
        headers: http::HeaderMap::new(),
        quirks: Vec::new(),
        timeouts: Timeouts::default(),
    });
    (0..count).map(|id| member(id, &provider, &books)).collect()
}

fn offer<'m>(member: &'m Member, model: &'m Arc<str>, view: &View) -> Offer<'m> {
    Offer::new(&member.endpoint, model, *view, 200.0)
}

fn benches(criterion: &mut Criterion) {
    let objective = Objective::preset("balanced").unwrap();
    let control = Control::default();
    let ask = Ask { input_tokens: 1200, max_output_tokens: Some(500), ..Ask::blank(&control) };
    let name: Arc<str> = "m".into();
    let mut group = criterion.benchmark_group("decide");
    for count in [5, 20, 50] {
        let market = market(count);
        let views: Vec<_> = market.iter().map(|member| member.live.view(1200, 0, NOW)).collect();
        let mut draw = 0;
        group.bench_function(BenchmarkId::new("gather_score_decide", count), |bencher| {
            bencher.iter(|| {
                draw += 1;
                let offers = market.iter().zip(&views).map(|(member, view)| offer(member, &name, view));
                let gathered = gather(black_box(&ask), &objective, offers);
                decide(&ask, &objective, score(&objective, gathered), Draw(draw))
            });
        });
        group.bench_function(BenchmarkId::new("with_views", count), |bencher| {
            bencher.iter(|| {
                draw += 1;
                let offers =
                    market.iter().map(|member| offer(member, &name, &member.live.glance(1200, 0, NOW)));
                let gathered = gather(black_box(&ask), &objective, offers);
                decide(&ask, &objective, score(&objective, gathered), Draw(draw))
            });
        });
    }
    group.finish();
}

/// Telling the class of a kilobyte of prose and of a very long prompt, of which
/// only the beginning is read.
fn classes(criterion: &mut Criterion) {
    let sentence =
        "A defendant sold 3 tons of copper to the plaintiff, who found \"$x^2 = 7$\" written on it.\n";
    let mut group = criterion.benchmark_group("class");
    class::prepare();
    for bytes in [1_000, 100_000] {
        let text = sentence.repeat(bytes / sentence.len() + 1);
        group.bench_function(BenchmarkId::new("of_text", bytes), |bencher| {
            bencher.iter(|| class::of_text(black_box(&text)));
        });
    }
    group.finish();
}

/// Single decisions among 50, with their views, one by one: criterion tells means.
fn percentiles(_: &mut Criterion) {
    let market = market(50);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        report("alone", &market);
        scope.spawn(|| write(&market, &stop));
        report("while written", &market);
        stop.store(true, Ordering::Relaxed);
    });
}

/// Records one answer after the other, at all endpoints in turn.
fn write(market: &[Member], stop: &AtomicBool) {
    let sample = Sample { ttft: Some(0.4), itl: Some(0.01), seconds: 3.0, ..Sample::default() };
    let began = Instant::now();
    for member in market.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        member.live.record(&sample, NOW + began.elapsed());
    }
}

fn report(name: &str, market: &[Member]) {
    let objective = Objective::preset("balanced").unwrap();
    let control = Control::default();
    let ask = Ask { input_tokens: 1200, max_output_tokens: Some(500), ..Ask::blank(&control) };
    let model: Arc<str> = "m".into();
    let began = Instant::now();
    let mut took: Vec<Duration> = (0..200_000)
        .map(|draw| {
            let start = Instant::now();
            let now = NOW + (start - began);
            let offers = market.iter().map(|member| offer(member, &model, &member.live.glance(1200, 0, now)));
            let gathered = gather(black_box(&ask), &objective, offers);
            let decision = decide(&ask, &objective, score(&objective, gathered), Draw(draw));
            let took = start.elapsed();
            drop(black_box(decision));
            took
        })
        .collect();
    took.sort_unstable();
    let at = |share: usize| took.get(took.len() * share / 1000).copied().unwrap_or_default();
    println!("decide/50/{name}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(500), at(990), at(999));
}

criterion_group!(decisions, benches, classes, percentiles);
criterion_main!(decisions);
