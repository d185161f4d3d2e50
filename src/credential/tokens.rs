//! Holds the token of one account.
//!
//! Requests never ask for a token themselves: the first that needs one starts a
//! task, all others wait for the same, and the task goes on when they hang up. In
//! the last fifth of a token's life it is renewed in the background, with the
//! first request that comes, while it still serves; nobody waits for that. When
//! no token can be had, that is remembered too, for a time that grows: a refusal
//! must not become a storm on the address that refuses.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::granted::Granted;
use crate::catalog::Secret;
use crate::outcome::Failure;

/// A token is renewed when this share of its life has passed.
const RENEW: f64 = 0.8;
/// It is not sent in its last moments: it would end on its way.
const MARGIN: Duration = Duration::from_secs(10);
/// The whole exchange may take this long. Requests wait for it, and another
/// provider would serve them meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// A token that is refused this soon after it was given is not at fault: within
/// this share of its life, and at most so long.
const FRESH: (f64, Duration) = (0.1, Duration::from_secs(30));
/// After a failure nobody asks for so long; every further one doubles it.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Where tokens come from.
pub trait Source: Debug + Send + Sync {
    /// Asks for one.
    fn fetch(&self) -> Fetching<'_>;
}

/// A token being asked for.
pub type Fetching<'f> = Pin<Box<dyn Future<Output = Result<Granted, Denied>> + Send + 'f>>;

/// No token was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// What it means to the router.
    pub failure: Failure,
    /// For the log: no secret, and no text that somebody else wrote.
    pub why: String,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub secret: Secret,
    header: HeaderValue,
    number: u64,
}

impl Token {
    /// `Bearer TOKEN`, marked as sensitive.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.header.clone()
    }
}

/// The token of one account.
#[derive(Debug)]
pub struct Tokens {
    account: String,
    source: Box<dyn Source>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    pause: Option<Pause>,
    /// Tokens so far.
    given: u64,
}

#[derive(Debug)]
struct Held {
    token: Token,
    since: Instant,
    life: Duration,
    renew: Instant,
    expires: Instant,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    times: u32,
    failure: Failure,
}

type Outcome = Result<Token, Failure>;
/// `None` until the exchange is over.
type Flight = watch::Receiver<Option<Outcome>>;

/// What a request that needs a token does.
enum Step {
    Done(Outcome),
    Wait(Flight),
}

impl Tokens {
    /// Without a token yet. `account` is what the log calls it.
    #[must_use]
    pub fn new(account: String, source: Box<dyn Source>) -> Tokens {
        Tokens { account, source, state: Mutex::default() }
    }

    /// A token that is good now.
    ///
    /// # Errors
    /// Why none can be had, at once where that is known already.
    pub async fn get(self: &Arc<Self>) -> Outcome {
        let mut flight = match self.step() {
            Step::Done(outcome) => return outcome,
            Step::Wait(flight) => flight,
        };
        let landed = flight.wait_for(Option::is_some).await;
        // A sender that is gone without a word has panicked.
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or(Err(Failure::Server { status: 500 }))
    }

    /// An upstream did not accept `token`. Returns whether there is, or will be,
    /// another: one that was refused when it was new says that the account is.
    #[must_use]
    pub fn refused(&self, token: &Token) -> bool {
        let mut state = self.lock();
        let Some(held) = &state.held else { return true };
        if held.token.number != token.number {
            return true;
        }
        if held.since.elapsed() < held.life.mul_f64(FRESH.0).min(FRESH.1) {
            return false;
        }
        state.held = None;
        true
    }

    /// How long the token that is held is still sent.
    #[must_use]
    pub fn life_left(&self) -> Option<Duration> {
        let left = self.lock().held.as_ref()?.expires.saturating_duration_since(Instant::now());
        Some(left).filter(|left| !left.is_zero())
    }

    /// Why there was no token the last time, if there was none.
    #[must_use]
    pub fn last_refusal(&self) -> Option<Failure> {
        self.lock().pause.as_ref().map(|pause| pause.failure.clone())
    }

    fn step(self: &Arc<Self>) -> Step {
        let now = Instant::now();
        let mut state = self.lock();
        // Over without a word: it is as if it had never begun.
        if state.flight.as_ref().is_some_and(|flight| flight.has_changed().is_err()) {
            state.flight = None;
        }
        let paused = state.pause.as_ref().is_some_and(|pause| now < pause.until);
        if let Some(held) = state.held.as_ref().filter(|held| now < held.expires) {
            let token = held.token.clone();
            if now >= held.renew && state.flight.is_none() && !paused {
                state.flight = Some(self.start());
            }
            return Step::Done(Ok(token));
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone());
        }
        if let Some(pause) = state.pause.as_ref().filter(|_| paused) {
            return Step::Done(Err(pause.failure.clone()));
        }
        let flight = self.start();
        state.flight = Some(flight.clone());
        Step::Wait(flight)
    }

    /// Asks for a token, in a task of its own.
    fn start(self: &Arc<Self>) -> Flight {
        let (sender, flight) = watch::channel(None);
        let tokens = Arc::clone(self);
        tokio::spawn(async move {
            let late =
                || Denied { failure: Failure::FirstContentTimeout, why: "no answer in time".to_owned() };
            let fetched = timeout(PATIENCE, tokens.source.fetch()).await.unwrap_or_else(|_| Err(late()));
            let outcome = tokens.land(fetched);
            sender.send_replace(Some(outcome));
        });
        flight
    }

    /// The exchange is over.
    fn land(&self, fetched: Result<Granted, Denied>) -> Outcome {
        let now = Instant::now();
        let mut state = self.lock();
        state.flight = None;
        let denied = match fetched.and_then(|granted| self.hold(&granted, now, &mut state)) {
            Ok(token) => return Ok(token),
            Err(denied) => denied,
        };
        let times = state.pause.as_ref().map_or(0, |pause| pause.times);
        let length = PAUSE.0.saturating_mul(1_u32 << times.min(16)).min(PAUSE.1);
        let failure = denied.failure.clone();
        state.pause = Some(Pause { until: now + length, times: times + 1, failure });
        drop(state);
        tracing::warn!(provider = self.account, why = denied.why, "no token was given");
        Err(denied.failure)
    }

    fn hold(&self, granted: &Granted, now: Instant, state: &mut State) -> Result<Token, Denied> {
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", granted.secret.expose())).map_err(|_| Denied {
                failure: Failure::Protocol { detail: "a token that cannot be a header" },
                why: "a token that cannot be a header".to_owned(),
            })?;
        header.set_sensitive(true);
        state.given += 1;
        let token = Token { secret: granted.secret.clone(), header, number: state.given };
        let life = granted.life;
        state.held = Some(Held {
            token: token.clone(),
            since: now,
            life,
            renew: now + life.mul_f64(RENEW),
            // One that lives for seconds is sent for half of them.
            expires: now + life.saturating_sub(MARGIN).max(life / 2),
        });
        state.pause = None;
        tracing::debug!(provider = self.account, seconds = life.as_secs(), "a token was given");
        Ok(token)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
