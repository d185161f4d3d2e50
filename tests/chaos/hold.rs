//! Streams whose first content is late: the caller gets a sign of life, and
//! another candidate can still take over.

use super::caller::{Ask, Heard};
use super::canon::{self, Seen, Stream, judge};
use super::stage::{PATIENT, Stage, attempts, provider};
use crate::support::Fallible;

const LATE: &str = "fault/normal?delay=2s";
const LATE_FAILURE: &str = "fault/status-503?delay=2s";

async fn stage() -> Result<Stage, String> {
    let model = |name: &str, upstream: &str| (name.to_owned(), upstream.to_owned());
    Stage::set(&["late", "sound"], |sim| {
        let url = |name: &str| sim.provider(name).map(merit::sim::Provider::base_url).unwrap_or_default();
        let late = [model("late", LATE), model("failing", LATE_FAILURE), model("alone", LATE_FAILURE)];
        let router =
            PATIENT.replacen("[router]\n", "[router]\nhold = \"300ms\"\nkeep_alive = \"100ms\"\n", 1);
        let late = provider("late", &url("late"), 1.0, &late);
        let sound = provider("sound", &url("sound"), 1.0, &[model("failing", "any")]);
        format!("{router}{late}{sound}")
    })
    .await
}

/// Answered before anybody had: 200, comments, and nothing about who it will be.
async fn early(stage: &Stage, ask: &Ask) -> Result<(Heard, Stream), String> {
    let heard = stage.ask(ask).await?;
    let after = heard.head_after.as_millis();
    if !(250..1900).contains(&after) || heard.header("x-merit-provider").is_some() {
        return Err(format!("the head came after {after} ms: {:?}", heard.headers));
    }
    let told = canon::stream(&heard, ask.include_usage)?;
    match told.comments {
        3.. => Ok((heard, told)),
        comments => Err(format!("{comments} comments")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_content_is_bridged_with_comments() -> Fallible<()> {
    let stage = stage().await?;
    let ask = Ask::of("late", "late").streamed(true);
    let (heard, told) = early(&stage, &ask).await?;
    assert_eq!(judge(&heard, &ask)?, Seen::Complete);
    let merit = told.merit.ok_or("no merit in the usage chunk")?;
    assert_eq!((&merit["attempts"], &merit["provider"]), (&1.into(), &"late".into()));
    let cost = &told.usage.ok_or("no usage")?["cost"];
    assert!(cost.as_f64().is_some_and(|cost| cost > 0.0), "{cost}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallback_is_still_possible_after_the_head() -> Fallible<()> {
    let stage = stage().await?;
    let ask = Ask::of("failing", "failing").streamed(true).first("late");
    let (heard, told) = early(&stage, &ask).await?;
    assert_eq!(judge(&heard, &ask)?, Seen::Complete);
    let merit = told.merit.ok_or("no merit in the usage chunk")?;
    assert_eq!((&merit["attempts"], &merit["provider"]), (&2.into(), &"sound".into()));
    let recorded = attempts(&stage.decision(&heard)?);
    assert_eq!(
        recorded,
        [("late".to_owned(), "overloaded".to_owned()), ("sound".to_owned(), "ok".to_owned())]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_after_the_head_is_told_in_the_stream() -> Fallible<()> {
    let stage = stage().await?;
    let ask = Ask::of("alone", "alone").streamed(true);
    let (heard, _) = early(&stage, &ask).await?;
    assert_eq!(judge(&heard, &ask)?, Seen::Broken { code: "no_healthy_upstream".to_owned() });
    let record = stage.decision(&heard)?;
    assert_eq!((&record["status"], &record["error"]), (&200.into(), &"no_healthy_upstream".into()));
    stage.at_rest().await?;
    Ok(())
}
