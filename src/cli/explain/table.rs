//! An explanation for people: two aligned tables, then sentences.

use std::fmt::Write as _;

use serde_json::Value;

/// Columns of the first table: heading and member of a candidate's score (USD).
const TERMS: [(&str, &str); 6] = [
    ("total USD", "total"),
    ("cost_usd", "cost_usd"),
    ("waiting", "waiting"),
    ("quality", "quality"),
    ("failure", "failure"),
    ("switching", "switching"),
];

/// How it is written: with colours on a terminal, without them elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Ink {
    /// Whether there are colours.
    pub colours: bool,
}

impl Ink {
    /// `text` as a heading.
    fn faint(self, text: &str) -> String {
        if self.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// `text` as what matters most.
    fn strong(self, text: &str) -> String {
        if self.colours { format!("\x1b[1;32m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The explanation that the admin API gave.
#[must_use]
pub fn table(answer: &Value, ink: Ink) -> String {
    let mut out = format!(
        "route {}, objective {}: {} USD a second, {} USD a good answer\n{} input tokens (estimated), generation {}\n",
        text(answer, "/route"),
        text(answer, "/objective/name"),
        text(answer, "/objective/usd_per_second"),
        text(answer, "/objective/usd_per_good_answer"),
        text(answer, "/input_tokens"),
        text(answer, "/generation")
    );
    let candidates = list(answer, "/decision/candidates");
    let width = candidates.iter().map(|one| text(one, "/endpoint").chars().count()).max().unwrap_or(0).max(8);
    if !candidates.is_empty() {
        scores(&mut out, candidates, width, ink);
        forecasts(&mut out, candidates, width, ink);
        verdict(&mut out, answer);
        flips(&mut out, answer);
    }
    rejects(&mut out, list(answer, "/decision/rejects"), ink);
    sent(&mut out, answer, ink);
    out
}

fn scores(out: &mut String, candidates: &[Value], width: usize, ink: Ink) {
    let mut heading = format!("   {:<width$}", "endpoint");
    for (name, _) in TERMS {
        let _ = write!(heading, "{name:>13}");
    }
    let _ = write!(out, "\n{}\n", ink.faint(&heading));
    for (place, candidate) in (1..).zip(candidates) {
        let mut line = format!("{place:>2} {:<width$}", text(candidate, "/endpoint"));
        for (_, term) in TERMS {
            let _ = write!(line, "{:>13.9}", number(candidate, &format!("/score/{term}")));
        }
        let _ = writeln!(out, "{}", if place == 1 { ink.strong(&line) } else { line });
    }
}

fn forecasts(out: &mut String, candidates: &[Value], width: usize, ink: Ink) {
    let heading = format!(
        "   {:<width$}{:>13}{:>13}{:>13}{:>13}{:>13}{:>13}",
        "expected", "seconds", "ttft s", "tokens/s", "tokens out", "success %", "quality"
    );
    let _ = write!(out, "\n{}\n", ink.faint(&heading));
    for (place, candidate) in (1..).zip(candidates) {
        let fact = |name: &str| number(candidate, &format!("/facts/{name}"));
        let _ = writeln!(
            out,
            "{place:>2} {:<width$}{:>13.3}{:>13.3}{:>13.1}{:>13.0}{:>13.2}{:>13.3}  {}",
            text(candidate, "/endpoint"),
            number(candidate, "/seconds"),
            fact("ttft"),
            1.0 / fact("itl"),
            fact("output_tokens"),
            100.0 * fact("success"),
            fact("quality"),
            ink.faint(&rests_on(candidate))
        );
    }
}

/// What the expectations rest on, in words.
fn rests_on(candidate: &Value) -> String {
    let samples = number(candidate, "/facts/samples");
    let source = match candidate.get("price_source") {
        Some(Value::String(source)) => format!(", price from {source}"),
        Some(Value::Object(source)) => source
            .values()
            .next()
            .map_or_else(String::new, |book| format!(", price from {}", text(book, "/list"))),
        _ => String::new(),
    };
    if samples <= 0.0 {
        return format!("assumed, never measured{source}");
    }
    format!("{samples:.1} samples, {} old{source}", age(number(candidate, "/facts/evidence/age")))
}

fn age(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// Who, against whom, and by how much.
fn verdict(out: &mut String, answer: &Value) {
    let (winner, other) = (text(answer, "/decision/winner"), text(answer, "/decision/runner_up"));
    let _ = write!(out, "\n{winner} is tried first");
    if !other.is_empty() {
        let against = |name: &str| number(answer, &format!("/decision/against_runner_up/{name}"));
        let (saved, slower, better) = (against("saved_usd"), against("slower_ms"), against("better"));
        let _ = write!(
            out,
            ": {:.9} USD ahead of {other} ({:.9} USD {}, {:.0} ms {}, quality {:+.3})",
            number(answer, "/decision/margin_usd"),
            saved.abs(),
            if saved < 0.0 { "dearer" } else { "cheaper" },
            slower.abs(),
            if slower > 0.0 { "slower" } else { "faster" },
            better,
        );
    }
    let share = 100.0 * number(answer, "/decision/propensity");
    let why = match answer.pointer("/decision/explored") {
        Some(Value::Bool(true)) => ", this time in order to learn",
        _ => "",
    };
    let _ = writeln!(out, "\nchosen in {share:.0} % of such requests{why}");
}

fn flips(out: &mut String, answer: &Value) {
    let flips = list(answer, "/decision/flips");
    if flips.is_empty() {
        return;
    }
    out.push_str("\nsomebody else would be the best\n");
    for flip in flips {
        let (from, to, who) = (number(flip, "/from"), number(flip, "/to"), text(flip, "/endpoint"));
        let side = if to < from { "below" } else { "above" };
        let _ = match text(flip, "/what").as_str() {
            "usd_per_second" => writeln!(out, "  {side} {to:.7} USD a second: {who}"),
            "usd_per_good_answer" => writeln!(out, "  {side} {to:.7} USD a good answer: {who}"),
            "price_of_best" => writeln!(out, "  at {to:.2} times the best one's price: {who}"),
            _ => writeln!(out, "  at {to:.2} times its own price: {who}"),
        };
    }
}

fn rejects(out: &mut String, rejects: &[Value], ink: Ink) {
    if rejects.is_empty() {
        return;
    }
    out.push_str("\ncannot serve it\n");
    let width = rejects.iter().map(|one| text(one, "/endpoint").chars().count()).max().unwrap_or(0);
    for reject in rejects {
        let _ = writeln!(
            out,
            " ✗ {:<width$}  {} {}",
            text(reject, "/endpoint"),
            text(reject, "/message"),
            ink.faint(&format!("({})", text(reject, "/code")))
        );
    }
}

fn sent(out: &mut String, answer: &Value, ink: Ink) {
    let Some(send) = answer.get("would_send").filter(|send| !send.is_null()) else { return };
    let cannot = text(send, "/cannot");
    if !cannot.is_empty() {
        let _ = write!(out, "\ncannot be sent to {}: {cannot}", text(send, "/endpoint"));
        return;
    }
    let _ = write!(
        out,
        "\nwould send {} bytes to {}\n{}",
        text(send, "/body_bytes"),
        text(send, "/url"),
        ink.faint(text(send, "/body").trim_end())
    );
    for warning in list(send, "/warnings") {
        let _ = write!(out, "\nnote: {}", plain(warning));
    }
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// Text as it is, anything else as JSON; nothing for what is absent.
fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).filter(|found| !found.is_null()).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    // Names and bodies come from elsewhere: they must not steer a terminal.
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}
