//! What operators are told when something is wrong.

use super::*;

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
            "merit.toml:6: providers.x.base_url: does not begin with https:// or http://; \
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

/// What is written, the line that is blamed, and how the complaint begins.
const MISTAKES: &[(&str, u32, &str)] = &[
    ("[[auth.keys]]\nname = \"k\"\ndigest = \"12\"\n", 3, "auth.keys[0].digest: not a digest"),
    (
        "[server]\nlisten = \"localhost\"\n",
        2,
        "server.listen: \"localhost\" is not an IP address with a port",
    ),
    ("[server]\nrequest_body = \"0B\"\n", 2, "server.request_body: must be more than 0B"),
    ("[server]\nlisten = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:1\"\n", 3, "server.admin: the same address"),
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
    ("[providers.openai]\n", 1, "providers.openai.base_url: base_url is missing; add vendor = \"openai\""),
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
    ("[providers.b]\nbase_url = \"http://u:p@h\"\n", 2, "providers.b.base_url: has a user or password in it"),
    (
        "[providers.b]\nbase_url = \"http://h/v1/chat/completions\"\n",
        2,
        "providers.b.base_url: is the address of one call",
    ),
    (
        "[providers.b]\nkey = {env = \"A\", file = \"b\"}\nvendor = \"ollama\"\n",
        2,
        "providers.b.key.file: unknown key",
    ),
    ("[[routes]]\nname = \"m\"\nmodels = [\"m\"]\n", 2, "routes[0].name: a model has the name \"m\" already"),
    ("[[routes]]\nname = \"r\"\nmodels = [\"m\", \"m\"]\n", 3, "routes[0].models[1]: \"m\" is listed twice"),
    ("[[routes]]\nmodels = [\"m\"]\n", 1, "routes[0].name: name is missing"),
    ("[store]\nshared = \"redis://h\"\n", 2, "store.shared: servers are not supported yet"),
    ("[store]\nurl = \"mysql://h\"\n", 2, "store.url: neither sqlite: nor postgres://"),
    ("include = [\"*/a.toml\"]\n", 1, "include: only the name of a file may have a *"),
    (
        "[providers.b]\nvendor = \"ollama\"\nmodels = [{name = \"q\"}]\nprice = {tiers = [{above = 2, input = 1, output = 1}, {above = 1, input = 1, output = 1}]}\n",
        4,
        "providers.b.price.tiers[1].above: not above the tier before it",
    ),
    ("providers = 3\n", 1, "providers: a table is expected here, not a number"),
];

#[test]
fn every_kind_of_mistake_is_told_where_it_is() {
    for (text, line, start) in MISTAKES {
        let text =
            if text.starts_with("providers =") { (*text).to_owned() } else { format!("{text}{ALONE}") };
        let expected = format!("merit.toml:{line}: {start}");
        let told = one(&text).told();
        assert!(told.iter().any(|problem| problem.starts_with(&expected)), "{expected}\n{told:?}");
    }
}

#[test]
fn one_mistake_is_told_once() {
    let told = one(&format!("{ALONE}[providers.b]\nbase_url = 3\n[[providers.b.models]]\nname = 4\n")).told();
    assert_eq!(told.len(), 2, "{told:?}");
    let route = "[[routes]]\nname = \"r\"\nmodels = [\"m\"]\n";
    let told = one(&format!("{}{route}", ALONE.replace("http://", ""))).told();
    assert_eq!(told.len(), 1, "a route to a model of a broken provider is not dangling: {told:?}");
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
fn nothing_at_all_says_what_to_do() {
    let error = Place::new(&[]).load().unwrap_err();
    assert_eq!(error, LoadError::NothingConfigured);
    for hint in ["merit demo", "OPENAI_API_KEY", "[providers.local]"] {
        assert!(error.to_string().contains(hint), "{hint}");
    }
    assert_eq!(one("[server]\ndrain_delay = \"1s\"\n").load().unwrap_err(), LoadError::NothingConfigured);
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
fn words_of_the_schema_are_those_of_the_code() {
    let schema = schema();
    let provider = &schema["properties"]["providers"]["additionalProperties"]["properties"];
    let words = |value: &serde_json::Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let dialects = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Gemini, Dialect::Bedrock];
    assert_eq!(words(&provider["dialect"]["enum"]), dialects.map(|dialect| dialect.name().to_owned()).into());
    let quirks = [
        Quirk::NoStreamOptions,
        Quirk::MaxCompletionTokens,
        Quirk::MaxTokens,
        Quirk::NoCallIds,
        Quirk::VertexMessages,
        Quirk::ChatGenerations,
    ];
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

#[test]
fn keys_without_end_are_no_way_to_exhaust_the_stack() {
    let deep = "a.".repeat(100_000);
    for text in [format!("{deep}a = 1\n"), format!("[{deep}a]\n"), format!("a = {}", "[".repeat(100_000))] {
        assert!(!one(&text).told().is_empty());
    }
}

#[test]
fn a_key_can_be_made_before_there_is_one() {
    let place =
        one("[server]\nlisten = \"0.0.0.0:8080\"\nadmin = \"0.0.0.0:9090\"\n[auth]\nmode = \"keys\"\n");
    assert!(settings_alone(&place.sources).unwrap().auth.keys_required);
    assert_eq!(place.told().len(), 2);
    let broken = one("[auth]\npepper = { env = \"NOT_SET\" }\n");
    assert!(settings_alone(&broken.sources).is_err());
}
