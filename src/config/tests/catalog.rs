//! What providers, vendors, models and objectives come to.

use super::*;

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
        let Some(variable) = vendor.keys.first().filter(|_| vendor.alone) else { continue };
        let place = Place::new(&[(variable, "k-e-y")]);
        let loaded = place.load().unwrap_or_else(|error| panic!("{}: {error}", vendor.slug));
        assert_eq!(loaded.catalog.providers.len(), 1, "{}", vendor.slug);
        assert!(!loaded.catalog.models.is_empty(), "{}", vendor.slug);
    }
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
                held: None,
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
fn a_presets_table_changes_that_preset() {
    let text = format!(
        "{ALONE}[objectives.balanced]\nusd_per_second = 1\nmax_price = {{ input = 2 }}\nttft = {{ ms = 800 }}\n"
    );
    let loaded = one(&text).load().unwrap();
    let balanced = &loaded.settings.router.objective;
    assert_eq!((balanced.usd_per_second, balanced.usd_per_good_answer), (1.0, 0.01));
    assert_eq!(balanced.max_price.unwrap().input.unwrap().get(), 2_000_000);
    assert!((balanced.ttft.unwrap().probability - 0.95).abs() < 1e-9);
    assert_eq!(loaded.catalog.objectives["balanced"], *balanced);
    assert_eq!(loaded.catalog.objectives.len(), 4);
}
