//! Configurations as a whole: what operators write, and what they are told.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::catalog::{Auth, Capabilities, Dialect, PriceSource, Quirk, Target};
use crate::units::Rates;

mod example;

const ALONE: &str = "[providers.a]\nbase_url = \"http://127.0.0.1:9\"\nmodels = [{ name = \"m\", price = { input = 1, output = 2 } }]\n";

/// A folder with files, and an environment.
struct Place {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Place {
    fn new(environment: &[(&str, &str)]) -> Self {
        let sources = Sources { environment: environment.iter().copied().collect(), ..Sources::default() };
        Place { folder: tempfile::tempdir().unwrap(), sources }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// With this file as a further `--config`.
    fn with(mut self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.write(name, text);
        self.sources.files.push(path);
        self
    }

    fn load(&self) -> Result<Loaded, LoadError> {
        load(&self.sources, &NoPrices)
    }

    /// All problems, without the folder's name.
    fn told(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(loaded) => loaded.warnings,
            Err(LoadError::Problems(problems)) => problems,
            Err(LoadError::NothingConfigured) => return vec!["nothing".to_owned()],
        };
        let folder = format!("{}/", self.folder.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }
}

fn one(text: &str) -> Place {
    Place::new(&[]).with("merit.toml", text)
}

#[test]
fn five_mistakes_are_told_at_once() {
    let text = r#"
[server]
lissten = "127.0.0.1:8080"
drain_delay = 5
[providers.x]
base_url = "api.example.com/v1"
key = { env = "NOT_SET" }
[[providers.x.models]]
name = "m"
price = { input = -1, output = 2 }
[[routes]]
name = "auto"
models = ["n"]
"#;
    assert_eq!(
        one(text).told(),
        [
            "merit.toml:3: server.lissten: unknown key; did you mean listen?",
            "merit.toml:4: server.drain_delay: a duration is expected here, not a number; for example \"10s\"",
            "merit.toml:6: providers.x.base_url: \"api.example.com/v1\" does not begin with https:// or http://; \
             for example \"https://api.example.com/v1\"",
            "merit.toml:7: providers.x.key: the environment variable NOT_SET is not set; set it: export NOT_SET=…",
            "merit.toml:10: providers.x.models[0].price.input: must not be negative; use a number from 0 to 1000000",
            "merit.toml:13: routes[0].models[0]: there is no model \"n\"; known are m",
        ]
    );
}

#[test]
fn broken_syntax_does_not_hide_other_problems() {
    let told = one("[server]\nlisten = \nlissten = 1\n").told();
    assert!(told.iter().any(|problem| problem.starts_with("merit.toml:2: ")), "{told:?}");
    assert!(
        told.iter().any(|problem| problem.starts_with("merit.toml:3: server.lissten: unknown key")),
        "{told:?}"
    );
}

#[test]
fn every_kind_of_mistake_is_told_where_it_is() {
    let cases = [
        ("[[auth.keys]]\nname = \"k\"\ndigest = \"12\"\n", 3, "auth.keys[0].digest: not a digest"),
        (
            "[server]\nlisten = \"localhost\"\n",
            2,
            "server.listen: \"localhost\" is not an IP address with a port",
        ),
        ("[server]\nrequest_body = \"0B\"\n", 2, "server.request_body: must be more than 0B"),
        (
            "[server]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"\n",
            3,
            "server.admin: the same address",
        ),
        ("[auth]\nmode = \"key\"\n", 2, "auth.mode: \"key\" is none of auto, none, keys; did you mean keys?"),
        ("[log]\nlevel = \"in fo=x=y\"\n", 2, "log.level: "),
        ("[router]\nattempts = 0\n", 2, "router.attempts: 0 is out of range; use a number from 1 to 16"),
        (
            "[router]\nobjective = \"balance\"\n",
            2,
            "router.objective: there is no objective \"balance\"; did you mean balanced?",
        ),
        ("[router.breaker]\nopen = \"1h\"\n", 1, "router.breaker.open_max: shorter than router.breaker.open"),
        (
            "[objectives.mine]\nusd_per_second = 1\n",
            1,
            "objectives.mine.usd_per_good_answer: usd_per_good_answer is missing",
        ),
        (
            "[providers.b]\nvendor = \"opnai\"\n",
            2,
            "providers.b.vendor: there is no vendor \"opnai\"; did you mean openai?",
        ),
        (
            "[providers.openai]\n",
            1,
            "providers.openai.base_url: base_url is missing; add vendor = \"openai\"",
        ),
        ("[providers.b]\nbase_url = \"http://h\"\n", 1, "providers.b.models: it offers no model"),
        (
            "[providers.b]\nvendor = \"ollama\"\nauth = \"bearer\"\nmodels = [{name = \"q\"}]\n",
            1,
            "providers.b.key: key is missing",
        ),
        (
            "[providers.b]\nvendor = \"ollama\"\nmodels = [{name = \"q\"}, {name = \"q\"}]\n",
            3,
            "providers.b.models[1].name: b offers \"q\" twice",
        ),
        (
            "[providers.b]\nvendor = \"ollama\"\nmodels = [{nam = \"q\"}]\n",
            3,
            "providers.b.models[0].nam: unknown key; did you mean name?",
        ),
        (
            "[providers.b]\nvendor = \"ollama\"\nheaders = {authorization = \"x\"}\nmodels = [{name = \"q\"}]\n",
            3,
            "providers.b.headers.authorization: ",
        ),
        (
            "[providers.b]\nbase_url = \"http://u:p@h\"\n",
            2,
            "providers.b.base_url: the URL has a user or password in it",
        ),
        (
            "[providers.b]\nbase_url = \"http://h/v1/chat/completions\"\n",
            2,
            "providers.b.base_url: \"http://h/v1/chat/completions\" is the address of one call",
        ),
        (
            "[providers.b]\nkey = {env = \"A\", file = \"b\"}\nvendor = \"ollama\"\n",
            2,
            "providers.b.key.file: unknown key",
        ),
        (
            "[[routes]]\nname = \"m\"\nmodels = [\"m\"]\n",
            2,
            "routes[0].name: a model has the name \"m\" already",
        ),
        (
            "[[routes]]\nname = \"r\"\nmodels = [\"m\", \"m\"]\n",
            3,
            "routes[0].models[1]: \"m\" is listed twice",
        ),
        ("[[routes]]\nmodels = [\"m\"]\n", 1, "routes[0].name: name is missing"),
        ("providers = 3\n", 1, "providers: a table is expected here, not a number"),
    ];
    for (text, line, start) in cases {
        let text = if text.starts_with("providers =") { text.to_owned() } else { format!("{text}{ALONE}") };
        let expected = format!("merit.toml:{line}: {start}");
        let told = one(&text).told();
        assert!(told.iter().any(|problem| problem.starts_with(&expected)), "{expected}\n{told:?}");
    }
}

#[test]
fn one_mistake_is_told_once() {
    let told = one(&format!("{ALONE}[providers.b]\nbase_url = 3\n[[providers.b.models]]\nname = 4\n")).told();
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn later_layers_win_and_know_where_they_are() {
    let mut place = Place::new(&[("MERIT__SERVER__LISTEN", "127.0.0.1:3"), ("MERIT__ROUTER__ATTEMPTS", "2")])
        .with("one.toml", format!("[server]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n{ALONE}"))
        .with("two.toml", "[server]\nadmin = \"127.0.0.1:4\"\ndrain_delay = \"1s\"\n");
    place.sources.flags.push(("server.drain_delay".to_owned(), "2s".to_owned()));
    let settings = place.load().unwrap().settings;
    assert_eq!(settings.server.listen, "127.0.0.1:3".parse().unwrap());
    assert_eq!(settings.server.admin, "127.0.0.1:4".parse().unwrap());
    assert_eq!(settings.server.drain_delay, Duration::from_secs(2));
    assert_eq!((settings.router.attempts, settings.router.hold), (2, Duration::from_secs(10)));

    let (effective, problems) = print(&place.sources);
    assert_eq!(problems, []);
    let origin = |key: &str| effective.iter().find(|value| value.key == key).unwrap().origin.to_string();
    assert_eq!(origin("server.listen"), "MERIT__SERVER__LISTEN");
    assert!(origin("server.admin").ends_with("two.toml:2"));
    assert_eq!(origin("server.drain_delay"), "flag server.drain_delay");
    assert_eq!(origin("router.hold"), "default");
    assert!(origin("providers.a.models[0].name").ends_with("one.toml:6"));
}

#[test]
fn variables_are_read_as_the_type_that_is_wanted() {
    let environment = [
        ("MERIT__PROVIDERS__MY_LLM__KEY", "12345"),
        ("MERIT__AUTH__ALLOW_OPEN", "true"),
        ("MERIT__ROUTER__RETRY_BUDGET", "0.5"),
        ("MERIT__LOG__LEVEL", "debug"),
        ("MERIT__ROUTER__HOLD", "soon"),
    ];
    let place = Place::new(&environment).with(
        "merit.toml",
        "[providers.my-llm]\nbase_url = \"http://[::1]:9\"\nmodels = [{name = \"m\", price = {input = 0, output = 0}}]\n",
    );
    assert_eq!(
        place.told(),
        [
            "MERIT__PROVIDERS__MY_LLM__KEY: providers.my-llm.key: a secret in the configuration itself; \
             name a variable or a file instead: { env = \"NAME\" } or { file = \"/path\" }",
            "MERIT__ROUTER__HOLD: router.hold: not a duration; write for example \"500ms\", \"10s\", \"5m\" or \"1h30m\"; \
             for example \"10s\"",
        ]
    );
}

#[test]
fn included_files_are_one_with_the_file() {
    let place =
        one(&format!("include = [\"d/*.toml\"]\n{ALONE}[[routes]]\nname = \"r\"\nmodels = [\"m\"]\n"));
    place.write("d/b.toml", "[[routes]]\nname = \"s\"\nmodels = [\"m\", \"q\"]\n");
    place.write(
        "d/a.toml",
        "include = [\"../merit.toml\"]\n[providers.b]\nvendor = \"ollama\"\nmodels = [{name = \"q\"}]\n",
    );
    // That each includes the other is no conflict and no loop.
    let told = place.told();
    assert_eq!(told, [] as [&str; 0]);
    let loaded = place.load().unwrap();
    assert_eq!(loaded.catalog.routes.len(), 2);
    assert_eq!(loaded.catalog.providers.len(), 2);
    for file in ["merit.toml", "d", "d/a.toml", "d/b.toml", "data/pepper"] {
        assert!(loaded.files.iter().any(|known| known.ends_with(file)), "{file}: {:?}", loaded.files);
    }

    place.write("d/c.toml", "[providers.b]\nvendor = \"vllm\"\n");
    assert_eq!(
        place.told(),
        ["d/c.toml:2: providers.b.vendor: already set at d/a.toml:3; keep one of the two"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let mut place = one(&format!("include = [\"gone.toml\"]\n{ALONE}")).with("latin1.toml", b"# \xe9\n");
    let never = place.path("never.toml");
    place.sources.files.push(never);
    let told = place.told();
    assert_eq!(told.len(), 3, "{told:?}");
    for (problem, file) in told.iter().zip(["gone.toml", "latin1.toml", "never.toml"]) {
        assert!(problem.starts_with(&format!("{file}: cannot be read: ")), "{problem}");
    }
}

#[test]
fn vendors_whose_keys_are_set_are_served_without_a_file() {
    let place = Place::new(&[("DEEPSEEK_API_KEY", "sk-1"), ("GROQ_API_KEY", ""), ("GOOGLE_API_KEY", "g")]);
    let loaded = place.load().unwrap();
    let names: Vec<&str> = loaded.catalog.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["deepseek", "gemini"]);
    let deepseek = &loaded.catalog.providers[0];
    assert_eq!((deepseek.dialect, &deepseek.auth), (Dialect::OpenAi, &Auth::Bearer));
    assert_eq!(deepseek.key.as_ref().unwrap().expose(), "sk-1");
    assert!(loaded.catalog.find("deepseek-v4-pro:floor").is_some());
    assert_eq!(loaded.warnings, []);
    assert!(!loaded.settings.auth.keys_required);
}

#[test]
fn every_vendor_serves_with_its_key_alone() {
    for vendor in vendors::all() {
        let Some(variable) = vendor.keys.first() else { continue };
        let place = Place::new(&[(variable, "k-e-y")]);
        let loaded = place.load().unwrap_or_else(|error| panic!("{}: {error}", vendor.slug));
        assert_eq!(loaded.catalog.providers.len(), 1, "{}", vendor.slug);
        assert!(!loaded.catalog.models.is_empty(), "{}", vendor.slug);
    }
}

#[test]
fn nothing_at_all_says_what_to_do() {
    let error = Place::new(&[]).load().unwrap_err();
    assert_eq!(error, LoadError::NothingConfigured);
    for hint in ["merit demo", "OPENAI_API_KEY", "[providers.local]"] {
        assert!(error.to_string().contains(hint), "{hint}");
    }
    assert_eq!(one("[server]\ndrain_delay = \"1s\"\n").load().unwrap_err(), LoadError::NothingConfigured);
}

#[test]
fn a_template_is_only_the_lowest_layer() {
    let text = "[providers.mine]\nvendor = \"groq\"\nkey = {env = \"K\"}\nbase_url = \"https://proxy.example/v1/\"\n";
    let place = Place::new(&[("K", "k"), ("GROQ_API_KEY", "other")]).with("merit.toml", text);
    let loaded = place.load().unwrap();
    let mine = &loaded.catalog.providers[0];
    assert_eq!(
        (mine.base_url.to_string(), mine.key.as_ref().unwrap().expose()),
        ("https://proxy.example/v1".to_owned(), "k")
    );
    assert!(loaded.catalog.endpoints.iter().any(|endpoint| &*endpoint.identity == "mine/llama-3.3-70b"));
    let (effective, _) = print(&place.sources);
    let dialect = effective.iter().find(|value| value.key == "providers.mine.dialect").unwrap();
    assert_eq!((dialect.value.as_str(), dialect.origin.to_string().as_str()), ("\"openai\"", "vendor groq"));
}

#[test]
fn the_same_name_at_several_providers_competes() {
    let place = Place::new(&[("GROQ_API_KEY", "a"), ("TOGETHER_API_KEY", "b")]);
    let catalog = place.load().unwrap().catalog;
    let Some(Target::Model(index)) = catalog.names.get("llama-3.3-70b") else { panic!("not a model") };
    let offers: BTreeSet<(&str, &str)> = catalog.models[*index]
        .endpoints
        .iter()
        .map(|id| catalog.endpoint(*id))
        .map(|endpoint| (&*endpoint.identity, endpoint.upstream.as_str()))
        .collect();
    let expected = [
        ("groq/llama-3.3-70b", "llama-3.3-70b-versatile"),
        ("together/llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    ];
    assert_eq!(offers, BTreeSet::from(expected));
}

/// Knows the price of `up` and the quality of `m`.
struct Book;

impl PriceLookup for Book {
    fn find(&self, provider: &str, vendor: Option<&str>, model: &str) -> Option<Listed> {
        (provider == "b" && vendor == Some("ollama") && model == "up").then(|| Listed {
            rates: Rates { input: crate::units::PicoUsd::new(7), ..Rates::default() }.into(),
            source: PriceSource::Book {
                list: "list".to_owned(),
                date: "2026-01-01".to_owned(),
                low_confidence: false,
            },
            facts: Some(ModelFacts { context: Some(9), max_output: None, capabilities: Capabilities::TOOLS }),
        })
    }

    fn quality(&self, model: &str) -> Option<f64> {
        (model == "m").then_some(0.25)
    }
}

#[test]
fn what_the_configuration_does_not_say_is_looked_up() {
    let text = r#"
[providers.a]
base_url = "http://127.0.0.1:9"
[[providers.a.models]]
name = "m"
region = "eu"
[providers.b]
vendor = "ollama"
[[providers.b.models]]
name = "m"
upstream = "up"
max_output = 5
[[providers.b.models]]
name = "n"
quality = 0.9
capabilities = ["vision", "n"]
price = { input = 1, output = 2, request = 0.01, tiers = [{ above = 10, input = 3, output = 4 }] }
"#;
    let place = one(text);
    let loaded = load(&place.sources, &Book).unwrap();
    let [a, b, n] = &loaded.catalog.endpoints[..] else { panic!("three endpoints") };
    assert_eq!(
        (&*a.identity, a.quality, a.capabilities, a.rates.is_none()),
        ("a/m@eu", 0.25, Capabilities::ALL, true)
    );
    // The template's price stands before the book's.
    assert_eq!(
        (b.price_source.clone(), b.context, b.max_output),
        (Some(PriceSource::Config), Some(9), Some(5))
    );
    assert_eq!((b.capabilities, b.upstream.as_str(), b.model), (Capabilities::TOOLS, "up", a.model));
    assert_eq!((n.quality, n.capabilities), (0.9, Capabilities::VISION.with(Capabilities::N)));
    let rates = n.rates.as_ref().unwrap();
    assert_eq!(
        (rates.input.get(), rates.request.get(), rates.tiers[0].rates.output.get()),
        (1_000_000, 10_000_000_000, 4_000_000)
    );
    assert_eq!(loaded.warnings.len(), 1);
    assert!(
        loaded.warnings[0].to_string().contains("providers.a.models[0]: its price is unknown"),
        "{}",
        loaded.warnings[0]
    );
}

#[test]
fn secrets_come_from_files_and_never_show() {
    let place = one("");
    let path = place.write("key", "very-secret\n");
    let text = format!(
        "[providers.a]\nbase_url = \"https://h\"\nkey = {{ file = {path:?} }}\nmodels = [{{name = \"m\", price = {{input=1,output=1}}}}]\n"
    );
    place.write("merit.toml", &text);
    let first = place.load().unwrap();
    assert_eq!(first.catalog.providers[0].key.as_ref().unwrap().expose(), "very-secret");
    assert!(first.files.contains(&path));
    assert!(!format!("{first:?}{:?}", place.sources).contains("very-secret"));
    assert_eq!(place.load().unwrap().fingerprint, first.fingerprint);
    place.write("key", "another-secret");
    assert_ne!(place.load().unwrap().fingerprint, first.fingerprint);
    for (content, expected) in [("", "is empty"), ("two\nlines", "has spaces, line breaks")] {
        place.write("key", content);
        assert!(place.told()[0].contains(expected), "{:?}", place.told());
    }
}

#[test]
fn literal_secrets_are_warnings_or_errors_and_masked() {
    let mut place = one(
        "[providers.a]\nbase_url = \"https://h\"\nkey = \"sk-literal\"\nmodels = [{name = \"m\", price = {input=1,output=1}}]\n",
    );
    assert_eq!(place.load().unwrap().warnings[0].severity, Severity::Warning);
    place.sources.strict = true;
    let Err(LoadError::Problems(problems)) = place.load() else { panic!("strict") };
    assert_eq!((problems.len(), problems[0].severity, problems[0].line), (1, Severity::Error, Some(3)));
    let (effective, _) = print(&place.sources);
    assert!(!format!("{effective:?}{problems:?}").contains("sk-literal"));
    assert!(effective.iter().any(|value| value.key == "providers.a.key" && value.value == "\"***\""));
}

#[test]
fn a_reference_replaces_a_reference() {
    let place = Place::new(&[("B", "b")])
        .with("one.toml", format!("{ALONE}[admin]\ntoken = {{ file = \"/gone\" }}\n"))
        .with("two.toml", "[admin]\ntoken = { env = \"B\" }\n");
    assert_eq!(place.load().unwrap().settings.admin.token.unwrap().expose(), "b");
}

#[test]
fn others_need_keys_and_the_admin_listener_a_token() {
    let digest = "00".repeat(32);
    let key = format!("[[auth.keys]]\nname = \"k\"\ndigest = \"{digest}\"\nexpose = \"model\"\n");
    let open = "[server]\nlisten = \"0.0.0.0:8080\"\n";
    let told = |text: &str| one(&format!("{text}{ALONE}")).told();
    assert!(told(open)[0].contains("auth.keys: callers of 0.0.0.0:8080 need keys"));
    assert!(told(&format!("{open}[auth]\nmode = \"none\"\n"))[0].contains("auth.mode: without keys anyone"));
    assert!(told("[server]\nadmin = \"0.0.0.0:9090\"\n")[0].contains("admin.token: anyone who reaches"));
    assert_eq!(told(&format!("{open}[auth]\nmode = \"none\"\nallow_open = true\n")), [] as [&str; 0]);

    let settings = one(&format!("{open}{key}{ALONE}")).load().unwrap().settings;
    assert!(settings.auth.keys_required);
    assert_eq!(
        (settings.auth.keys[0].digest, settings.auth.keys[0].expose),
        ([0; 32], settings::Expose::Model)
    );
    let settings = one(&format!("{key}{ALONE}")).load().unwrap().settings;
    assert!(!settings.auth.keys_required, "not on loopback");
    let place = Place::new(&[("MERIT_ADMIN_TOKEN", "t")])
        .with("merit.toml", format!("[server]\nadmin = \"0.0.0.0:9090\"\n{ALONE}"));
    assert_eq!(place.load().unwrap().settings.admin.token.unwrap().expose(), "t");
}

#[test]
fn a_presets_table_changes_that_preset() {
    let text = format!(
        "{ALONE}[objectives.balanced]\nusd_per_second = 1\nmax_price = {{ input = 2 }}\nttft = {{ ms = 800 }}\n"
    );
    let loaded = one(&text).load().unwrap();
    let balanced = &loaded.settings.router.objective;
    assert_eq!((balanced.usd_per_second, balanced.usd_per_good_answer), (1.0, 0.01));
    assert_eq!(balanced.max_price.unwrap().input.unwrap().get(), 2_000_000);
    assert_eq!(balanced.ttft.unwrap().probability, 0.95);
    assert_eq!(loaded.catalog.objectives["balanced"], *balanced);
    assert_eq!(loaded.catalog.objectives.len(), 4);
}

#[test]
fn words_of_the_schema_are_those_of_the_code() {
    let schema = schema();
    let provider = &schema["properties"]["providers"]["additionalProperties"]["properties"];
    let words = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let dialects = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];
    assert_eq!(words(&provider["dialect"]["enum"]), dialects.map(|dialect| dialect.name().to_owned()).into());
    let quirks = [Quirk::NoStreamOptions, Quirk::MaxCompletionTokens, Quirk::MaxTokens];
    let quirks = quirks.map(|quirk| serde_json::to_value(quirk).unwrap().as_str().unwrap().to_owned());
    assert_eq!(words(&provider["quirks"]["items"]["enum"]), quirks.into());
    let capabilities = Capabilities::NAMES.map(|(name, _)| name.to_owned());
    let model = &provider["models"]["items"]["properties"];
    assert_eq!(words(&model["capabilities"]["items"]["enum"]), capabilities.into());
}

proptest! {
    /// Whatever is in a file, loading ends in a configuration or in problems.
    #[test]
    fn no_bytes_panic_the_loader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let place = Place::new(&[]).with("merit.toml", &bytes);
        prop_assert!(place.load().is_err());
    }

    /// The same for what nearly is a configuration.
    #[test]
    fn no_half_right_configuration_panics(lines in proptest::collection::vec(
        ("(include|server|auth|providers|routes|objectives|a|keys|models|price|name|key|tiers|base_url|vendor)(\\.(a|keys|models|price|key|breaker|timeouts)){0,3}",
         "(\\[\\]|\\[\\[\\]\\]|= (1|-1|0.5|nan|true|\"x\"|\"openai\"|\\[1, \"x\"\\]|\\{a = 1\\}|\\{env = \"A\"\\}|[[1]]|1979-05-27))"),
        0..12,
    )) {
        let text: String = lines.iter().map(|(key, what)| match what.as_str() {
            "[]" => format!("[{key}]\n"),
            "[[]]" => format!("[[{key}]]\n"),
            value => format!("{key} {value}\n"),
        }).collect();
        let place = Place::new(&[]).with("merit.toml", &text);
        let told = place.told();
        prop_assert!(told.iter().all(|problem| !problem.is_empty()));
        let (effective, _) = print(&place.sources);
        prop_assert!(effective.iter().any(|value| value.key == "router.breaker.window"));
    }
}
