//! What stands between a decision and the first upstream: the caller's own
//! limits, and stage 6, which holds the money.

use std::sync::Arc;

use super::error::Error;
use crate::accounts::{Caller, Expose, Refused, Reservation, limiter};
use crate::app::App;
use crate::dispatch::{Ticket, billing};
use crate::market::{Candidate, Decision};
use crate::request::ChatRequest;
use crate::units::NanoUsd;

/// Fewest output tokens that an output limit is lowered to: with less an answer
/// is worth nothing to anybody.
const FEWEST_TOKENS: u32 = 16;

/// The caller's rates and number of requests at once: input and the most output
/// that is asked for.
///
/// # Errors
/// With the limit that was met.
pub fn limit(app: &App, ticket: &mut Ticket, caller: &Caller, request: &ChatRequest) -> Result<(), Error> {
    let Some(path) = caller.account.as_ref().filter(|path| !path.limiters.is_empty()) else { return Ok(()) };
    let output = request.max_output_tokens.unwrap_or(0).saturating_mul(request.n.max(1));
    let tokens = request.input_tokens.saturating_add(output);
    match limiter::begin(&path.limiters, tokens, app.shared.now()) {
        Ok(counted) => {
            ticket.counted = counted;
            Ok(())
        }
        Err((place, met)) => {
            let whose = path.limited.get(place).map_or("key", |level| level.name());
            Err(Error::over_rate(whose, met.limit.words(), met.most, met.wait))
        }
    }
}

/// Stage 6: holds what the best candidate may cost; a dearer one re-reserves when
/// it is tried.
///
/// # Errors
/// When a budget does not allow it, or the ledger cannot be written.
pub async fn reserve(
    app: &App,
    ticket: &mut Ticket,
    caller: &Arc<Caller>,
    decision: &Decision,
) -> Result<Reservation, Error> {
    let counter = app.shared.counter.as_ref();
    let open = &app.shared.metrics.reservations;
    let Some(first) = decision.ranked().next() else { return Ok(Reservation::unlimited(open)) };
    let now = Ticket::unix_seconds();
    let mut made = Reservation::make(open, counter, caller, ticket.worst_charge(first), now).await;
    // Where the best is not affordable, another may be: the attempts find it.
    for next in decision.ranked().skip(1) {
        if !matches!(made, Err(Refused::Over(..))) {
            break;
        }
        let cheaper = Reservation::make(open, counter, caller, ticket.worst_charge(next), now).await;
        made = cheaper.or(made);
    }
    if let Err(Refused::Over(over, _)) = &made
        && let Some(most) = over.fits
        && fit(ticket, first, most)
    {
        made = Reservation::make(open, counter, caller, ticket.worst_charge(first), now).await;
    }
    let reservation = made.map_err(|refused| denied(app, &refused))?;
    if reservation.shadow().is_some() {
        app.shared.metrics.budget_denied.with_label_values(&["shadow"]).inc();
    }
    Ok(reservation)
}

fn denied(app: &App, refused: &Refused) -> Error {
    if let Refused::Over(_, level) = refused {
        app.shared.metrics.budget_denied.with_label_values(&[level.name()]).inc();
    }
    Error::from_failure(&billing::failure(refused), Expose::None)
}

/// Lowers the request's output limit until `candidate` costs at most `most`.
/// Charges grow with the output, so the largest limit that fits is found by
/// halving.
fn fit(ticket: &mut Ticket, candidate: &Candidate, most: NanoUsd) -> bool {
    let Some(request) = ticket.request.clone() else { return false };
    let endpoint_most = ticket.fleet.catalog.endpoint(candidate.id).max_output;
    let (mut low, mut high) = (0, request.max_output_tokens.or(endpoint_most).unwrap_or(u32::MAX / 2));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let asked = ChatRequest { max_output_tokens: Some(middle), ..(*request).clone() };
        ticket.request = Some(Arc::new(asked));
        match ticket.worst_charge(candidate) <= most {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    let lowered = request.with_output_limit(low).filter(|_| low >= FEWEST_TOKENS);
    let fits = lowered.is_some();
    if fits {
        ticket
            .warnings
            .push(format!("the output limit was lowered to {low} tokens, which the budget allows"));
    }
    ticket.request = Some(lowered.map_or(request, Arc::new));
    fits
}
