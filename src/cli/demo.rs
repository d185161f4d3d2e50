//! `merit demo`: the main job on a fresh machine, without keys and services.
//!
//! The gateway is the real one, configured like any other; only the providers
//! behind it are simulated, and it says so.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Source, UNAVAILABLE, complain, gateway, say, serve};
use crate::app::App;
use crate::config::Environment;
use crate::sim::scenario::ModelSpec;
use crate::sim::{Scenario, Sim};

/// `merit demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Sends no traffic of its own
    #[arg(long)]
    quiet: bool,
}

/// Pause between two requests of the demo's own traffic.
const TRICKLE: Duration = Duration::from_millis(1500);
type Question = (&'static str, &'static str, &'static str, bool);
/// What the demo asks, in turn: name, question, objective, whether as a stream.
/// Different callers value different things, so all providers get their share.
const QUESTIONS: [Question; 6] = [
    ("auto", "What is a merit order?", "balanced", true),
    ("sim-small", "Say hello.", "cheapest", false),
    ("sim-large", "Explain marginal cost to a child.", "best", true),
    ("auto", "Which plant runs next?", "fastest", true),
    ("sim-large", "Why is the dearest plant the last?", "cheapest", false),
    ("sim-small", "Count to ten.", "balanced", true),
];

impl Demo {
    /// Runs until it is told to stop.
    pub fn run(&self, source: &Source, environment: Environment) -> ExitCode {
        match serve::origin(source, environment) {
            Ok(origin) => serve::block_on(self.play(origin)),
            Err(code) => code,
        }
    }

    async fn play(&self, mut origin: crate::app::Origin) -> ExitCode {
        let started = match Scenario::market() {
            Ok(scenario) => Sim::start(scenario).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let sim = match started {
            Ok(sim) => sim,
            Err(problem) => {
                complain(&problem);
                return ExitCode::from(UNAVAILABLE);
            }
        };
        let folder = std::env::temp_dir().join(format!("merit-demo-{}", std::process::id()));
        origin.inline.push(("demo".to_owned(), configuration(&sim, &folder)));
        let quiet = self.quiet;
        let code = serve::gateway(origin, move |app| {
            greet(app);
            if !quiet {
                tokio::spawn(trickle(app.clone()));
            }
        })
        .await;
        // A folder that was never made need not be removed.
        drop(std::fs::remove_dir_all(&folder));
        code
    }
}

/// The configuration of a gateway for a simulated market, whose store is in
/// `folder`.
fn configuration(sim: &Sim, folder: &std::path::Path) -> String {
    // The simulated market begins anew each time, and so does what is learnt of it.
    // Nobody else sends requests here: there is no reason to wait for them.
    let store = format!("sqlite:{}", folder.join("merit.db").display());
    let mut text =
        format!("[statistics]\nfile = \"\"\n[server]\ndrain_delay = \"0s\"\n[store]\nurl = {store:?}\n");
    let mut names: Vec<&str> = Vec::new();
    for provider in sim.providers() {
        let spec = provider.spec();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "[providers.{}]\ndialect = \"openai\"\nauth = \"none\"\nbase_url = {:?}",
            spec.name,
            provider.base_url()
        );
        for model in &spec.models {
            if !names.contains(&model.name.as_str()) {
                names.push(&model.name);
            }
            let _ = writeln!(text, "{}", offer(&spec.name, model));
        }
    }
    let _ = writeln!(text, "[[routes]]\nname = \"auto\"\nmodels = {names:?}\nobjective = \"balanced\"");
    text
}

fn offer(provider: &str, model: &ModelSpec) -> String {
    let price = &model.price;
    let cached = price.cached_input.map(|cached| format!(", cached_input = {cached:?}")).unwrap_or_default();
    format!(
        "[[providers.{provider}.models]]\nname = {:?}\nprice = {{ input = {:?}, output = {:?}{cached} }}\ncontext = {}\nquality = {:?}",
        model.name, price.input, price.output, model.context, model.quality
    )
}

/// What to do next, ready to be pasted.
fn greet(app: &App) {
    let generation = app.generation();
    let server = &generation.settings.server;
    let providers = generation.fleet.catalog.providers.len();
    let (api, admin) = (server.listen, server.admin);
    say(&format!(
        "Merit demo: {providers} SIMULATED providers compete on this machine; no real model answers.

curl http://{api}/v1/chat/completions -H 'content-type: application/json' \\
  -d '{{\"model\": \"auto\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'

from openai import OpenAI
client = OpenAI(base_url=\"http://{api}/v1\", api_key=\"demo\")
answer = client.chat.completions.create(model=\"auto\", messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}])
print(answer.choices[0].message.content)

metrics    http://{admin}/metrics
providers  http://{admin}/admin/v1/providers
decisions  http://{admin}/admin/v1/decisions

Ctrl-C ends it."
    ));
}

/// A little traffic, so that there is something to see.
async fn trickle(app: App) {
    let Ok(client) = gateway::client(Duration::from_secs(120)) else { return };
    let url = format!("http://{}/v1/chat/completions", app.generation().settings.server.listen);
    for (model, question, objective, stream) in QUESTIONS.into_iter().cycle() {
        tokio::time::sleep(TRICKLE).await;
        if app.is_draining() {
            return;
        }
        let body = json!({
            "model": model,
            "stream": stream,
            "merit": { "objective": objective },
            "messages": [{ "role": "user", "content": question }],
        });
        let sent =
            client.post(&url).header("content-type", "application/json").body(body.to_string()).send().await;
        if let Ok(response) = sent {
            // Read to its end like any caller would; what it says is not needed.
            drop(response.bytes().await);
        }
    }
}
