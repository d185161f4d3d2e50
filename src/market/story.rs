//! Books and market together: an outage, minute by minute.

use std::sync::Arc;
use std::time::Duration;

use super::samples::{balanced, decided, sample};
use crate::books::{Books, CircuitSettings, Live, Pass};
use crate::outcome::{Failure, Sample as Attempt};
use crate::request::Control;

const SECOND: Duration = Duration::from_secs(1);

/// Two endpoints of one model: the first is the cheaper by half.
struct World {
    lives: [Arc<Live>; 2],
}

impl World {
    fn new() -> Self {
        let books = Books::new(CircuitSettings::default());
        World { lives: ["p0/m", "p1/m"].map(|identity| books.live(&identity.into(), &"m".into())) }
    }

    /// One request at `now`; the first endpoint answers if `well`. Returns the
    /// endpoints that were tried.
    fn asking(&self, well: bool, now: Duration, draw: u64) -> Vec<usize> {
        let views = self.lives.each_ref().map(|live| live.view(1000, 0, now));
        let market =
            [(0, 1.0), (1, 1.5)].map(|(id, price)| sample(id, price).seen(|view| *view = views[id as usize]));
        let decision = decided(&balanced(), &market, &Control::default(), draw);
        let mut tried = Vec::new();
        for candidate in decision.ranked() {
            let index = candidate.id.0 as usize;
            let live = &self.lives[index];
            if live.try_pass(now) == Pass::Refused && !candidate.facts.last_resort {
                continue;
            }
            tried.push(index);
            let answers = index == 1 || well;
            let failure = (!answers).then_some(Failure::Server { status: 503 });
            let ttft = answers.then_some(0.3);
            live.record(
                &Attempt { ttft, seconds: 0.0, itl: ttft.map(|_| 0.01), failure, ..Attempt::default() },
                now,
            );
            if answers {
                break;
            }
        }
        tried
    }
}

#[test]
fn an_outage_costs_a_handful_of_attempts_and_the_cheap_are_back_within_a_minute() {
    let world = World::new();
    let mut draw = 0;
    let mut minute = |well: bool, from: u32| -> Vec<Vec<usize>> {
        let requests = (0..600).map(|tenth| {
            draw += 1;
            world.asking(well, SECOND * from + SECOND / 10 * tenth, draw)
        });
        requests.collect()
    };
    let first = |tried: &[Vec<usize>]| tried.iter().filter(|tried| tried[0] == 0).count();

    let before = minute(true, 60);
    assert!(first(&before) > 500, "{} of 600 went to the cheap one", first(&before));

    let during = minute(false, 120);
    assert!(first(&during) <= 10, "{} of 600 met the outage", first(&during));
    assert!(during.iter().all(|tried| *tried.last().unwrap() == 1), "everybody was answered");

    let after = minute(true, 180);
    let back = first(&after[300..]);
    assert!(back > 250, "{back} of the last 300 went to the cheap one again");
}

#[test]
fn where_everybody_fails_somebody_is_still_asked() {
    let world = World::new();
    for live in &world.lives {
        for _ in 0..5 {
            live.record(&Attempt { failure: Some(Failure::Connect), ..Attempt::default() }, SECOND);
        }
    }
    assert_eq!(world.asking(true, SECOND * 2, 0), [0], "and it has recovered");
}
