//! Which of several layers wins, and where secrets come from.

use super::*;

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
    for file in ["merit.toml", "d", "d/a.toml", "d/b.toml"] {
        assert!(loaded.files.iter().any(|known| known.ends_with(file)), "{file}: {:?}", loaded.files);
    }

    place.write("d/c.toml", "[providers.b]\nvendor = \"vllm\"\n");
    assert_eq!(
        place.told(),
        ["d/c.toml:2: providers.b.vendor: already set at d/a.toml:3; keep one of the two"]
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
fn a_reference_replaces_a_reference() {
    let place = Place::new(&[("B", "b")])
        .with("one.toml", format!("{ALONE}[admin]\ntoken = {{ file = \"/gone\" }}\n"))
        .with("two.toml", "[admin]\ntoken = { env = \"B\" }\n");
    assert_eq!(place.load().unwrap().settings.admin.token.unwrap().expose(), "b");
}

#[test]
fn a_file_that_holds_the_pepper_matters_once_there_are_keys() {
    let digest = "00".repeat(32);
    let place = one("");
    let pepper = place.write("pepper", "one");
    let keys = format!("[[auth.keys]]\nname = \"k\"\ndigest = \"{digest}\"\n");
    place.write("merit.toml", format!("[auth]\npepper = {{ file = {pepper:?} }}\n{keys}{ALONE}"));
    let first = place.load().unwrap();
    assert!(first.files.contains(&pepper));
    place.write("pepper", "two");
    assert_ne!(place.load().unwrap().fingerprint, first.fingerprint);
}

proptest! {
    /// Whatever is in variables, it ends in a configuration or in problems, and
    /// an empty one is none.
    #[test]
    fn no_variable_panics_the_loader(
        key in "(SERVER|ROUTER|PROVIDERS|ROUTES|AUTH|INCLUDE|A)(__(LISTEN|ATTEMPTS|A|KEY|MODELS|BREAKER|KEYS)){0,3}",
        value in "(\\PC{0,12}|\\{.{0,8}\\}|\\[.{0,8}\\]|[0-9]{1,12})",
    ) {
        let name = format!("MERIT__{key}");
        let place = Place::new(&[(&name, &value)]).with("merit.toml", ALONE);
        prop_assert!(!value.is_empty() || place.told().is_empty());
        let problems = place.load().map_or_else(|error| error.to_string(), |_| name.clone());
        prop_assert!(problems.contains(&name) || problems.contains("merit.toml"), "{}", problems);
    }
}

#[test]
fn a_configuration_can_be_in_no_file() {
    let mut place = Place::new(&[]);
    place.sources.inline.push(("demo".to_owned(), ALONE.to_owned()));
    assert_eq!(place.load().unwrap().catalog.models.len(), 1);
    place.sources.inline.push(("more".to_owned(), "[servr]\n".to_owned()));
    assert_eq!(place.told(), ["more:1: servr: unknown key; did you mean server?"]);
}
