//! What keys, regions and logins come to.

use super::*;
use crate::catalog::auth::{Ask, Field, Grant};

const KEY: &str = include_str!("../../../tests/golden/credential/test-key.pem");
const MODELS: &str = "models = [{ name = \"m\", price = { input = 1, output = 2 } }]\n";

fn identities(loaded: &Loaded) -> Vec<String> {
    loaded.catalog.endpoints.iter().map(|endpoint| endpoint.identity.to_string()).collect()
}

fn grant(loaded: &Loaded) -> Grant {
    match &loaded.catalog.providers[0].auth {
        Auth::Token(grant) => (**grant).clone(),
        other => panic!("{other:?}"),
    }
}

fn form(grant: &Grant) -> Vec<(&'static str, Field)> {
    match &grant.ask {
        Ask::Form(fields) => fields.clone(),
        other @ Ask::Get(_) => panic!("{other:?}"),
    }
}

#[test]
fn every_region_and_key_is_an_account_with_endpoints_of_its_own() {
    let text = format!(
        "[providers.a]\nbase_url = \"https://{{host}}/v1\"\nvariables = {{ host = \"{{region}}.example\" }}\n\
         regions = [\"eu\", \"us\"]\nkeys = [{{ env = \"K1\" }}, {{ env = \"K2\" }}]\n{MODELS}"
    );
    let place = Place::new(&[("K1", "one"), ("K2", "two")]).with("merit.toml", text);
    let loaded = place.load().unwrap();
    assert_eq!(identities(&loaded), ["a/m@eu#1", "a/m@eu#2", "a/m@us#1", "a/m@us#2"]);
    let accounts: Vec<(String, String, &str)> = loaded
        .catalog
        .providers
        .iter()
        .map(|one| (one.label(), one.base_url.to_string(), one.key.as_ref().unwrap().expose()))
        .collect();
    assert_eq!(accounts[1], ("a@eu#2".to_owned(), "https://eu.example/v1".to_owned(), "two"));
    assert_eq!(accounts[2], ("a@us#1".to_owned(), "https://us.example/v1".to_owned(), "one"));
    assert_eq!(loaded.catalog.models[0].endpoints.len(), 4, "they compete for the same model");
    assert_eq!(loaded.warnings, []);
}

#[test]
fn azures_deployments_are_in_the_path() {
    let text = "[providers.az]\nvendor = \"azure-deployments\"\n[[providers.az.models]]\nname = \"gpt\"\nupstream = \"dep 1\"\nprice = { input = 1, output = 2 }\n";
    let environment =
        [("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/")];
    let loaded = Place::new(&environment).with("merit.toml", text).load().unwrap();
    let provider = &loaded.catalog.providers[0];
    assert_eq!(provider.base_url, "https://r.openai.azure.com/openai");
    assert_eq!(
        provider.reach.path("dep 1", true).unwrap(),
        "/deployments/dep%201/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(provider.auth, Auth::Header("api-key".parse().unwrap()));
    assert_eq!(provider.key.as_ref().unwrap().expose(), "k");
}

#[test]
fn azure_logs_in_with_what_there_is() {
    let login = |environment: &[(&str, &str)], table: &str| {
        let text = format!(
            "[providers.az]\nvendor = \"azure\"\nvariables = {{ endpoint = \"https://r.example\" }}\n{MODELS}{table}"
        );
        grant(&Place::new(environment).with("merit.toml", text).load().unwrap())
    };
    let who = [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")];
    let secret = login(&[who[0], who[1], ("AZURE_CLIENT_SECRET", "s")], "");
    assert_eq!(secret.url, "https://login.microsoftonline.com/t/oauth2/v2.0/token");
    assert!(form(&secret).contains(&("client_secret", Field::Secret(Secret::new("s".to_owned())))));
    let federated = login(&[who[0], who[1], ("AZURE_FEDERATED_TOKEN_FILE", "/token")], "");
    let file = Field::File { path: "/token".into(), member: None };
    assert!(form(&federated).contains(&("client_assertion", file)));
    let machine = login(&[], "");
    assert_eq!(
        machine.url,
        "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fcognitiveservices.azure.com"
    );
    let container =
        login(&[("IDENTITY_ENDPOINT", "http://localhost:42356/msi/token"), ("IDENTITY_HEADER", "h")], "");
    assert!(container.url.to_string().starts_with("http://localhost:42356/msi/token?api-version=2019-08-01"));
    // A table is a login, whatever key lies around.
    let table =
        "[providers.az.azure]\ntenant = \"t2\"\nclient_id = \"c2\"\nclient_secret = { env = \"S\" }\n";
    let explicit = login(&[("AZURE_OPENAI_API_KEY", "k"), ("S", "s2")], table);
    assert!(explicit.url.path().starts_with("/t2/"));
}

#[test]
fn google_logs_in_with_what_there_is() {
    let vertex = format!("[providers.v]\nvendor = \"vertex\"\nvariables = {{ project = \"p\" }}\n{MODELS}");
    let load = |file: Option<&serde_json::Value>| {
        let place = Place::new(&[]);
        let credentials = file.map(|file| place.write("key.json", file.to_string()));
        let table = credentials
            .map(|path| format!("[providers.v.google]\ncredentials = {:?}\n", path.to_str().unwrap()))
            .unwrap_or_default();
        place.with("merit.toml", format!("{vertex}{table}")).load()
    };
    let machine = load(None).unwrap();
    assert_eq!(
        machine.catalog.providers[0].base_url,
        "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"
    );
    assert!(matches!(grant(&machine).ask, Ask::Get(_)));

    let account = serde_json::json!({ "type": "service_account", "client_email": "me@p.example", "private_key_id": "k1",
        "private_key": KEY, "token_uri": "https://oauth2.example/token" });
    let account = grant(&load(Some(&account)).unwrap());
    assert_eq!(account.url, "https://oauth2.example/token");
    let Some((_, Field::Assertion(assertion))) = form(&account).pop() else { panic!("{account:?}") };
    assert_eq!(
        (assertion.issuer.as_str(), assertion.audience.as_str()),
        ("me@p.example", "https://oauth2.example/token")
    );
    assert!(!format!("{account:?}").contains("PRIVATE"), "a key in a debug text");

    let federated = serde_json::json!({ "type": "external_account", "audience": "//iam/pool", "token_url": "https://sts.example/token",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "credential_source": { "file": "/token", "format": { "type": "json", "subject_token_field_name": "t" } },
        "service_account_impersonation_url": "https://iam.example/x:generateAccessToken" });
    let federated = grant(&load(Some(&federated)).unwrap());
    let file = Field::File { path: "/token".into(), member: Some("t".to_owned()) };
    assert!(form(&federated).contains(&("subject_token", file)));
    assert!(federated.then.is_some());

    let bad = serde_json::json!({ "type": "service_account", "client_email": "m", "private_key": "abc" });
    let Err(LoadError::Problems(problems)) = load(Some(&bad)) else { panic!("a bad key was accepted") };
    assert!(problems[0].to_string().contains("private_key is not a private key"), "{}", problems[0]);
}

#[test]
fn salesforce_logs_in_at_its_domain() {
    let text = format!(
        "[providers.s]\nvendor = \"salesforce\"\n{MODELS}[providers.s.salesforce]\ndomain = \"https://my.salesforce.example/\"\n"
    );
    let environment = [("SALESFORCE_CLIENT_ID", "i"), ("SALESFORCE_CLIENT_SECRET", "s")];
    let loaded = Place::new(&environment).with("merit.toml", text).load().unwrap();
    assert_eq!(grant(&loaded).url, "https://my.salesforce.example/services/oauth2/token");
    assert!(loaded.catalog.providers[0].headers.contains_key("x-sfdc-app-context"));
    let told = one("[providers.s]\nvendor = \"salesforce\"\n").told();
    assert!(told.iter().any(|problem| problem.contains("providers.s.salesforce.domain")), "{told:?}");
}

#[test]
fn what_is_wrong_with_accounts_is_told_at_its_place() {
    for (text, told) in [
        ("base_url = \"https://{host}/v1\"\n", "base_url: {host} stands for nothing"),
        (
            "base_url = \"https://a.example\"\nkey = { env = \"K\" }\nkeys = [{ env = \"K\" }]\n",
            "keys: both key and keys",
        ),
        (
            "base_url = \"https://a.example\"\nkeys = [{ env = \"K\" }, { env = \"K\" }]\n",
            "the same key twice",
        ),
        ("base_url = \"https://a.example\"\nregions = [\"e u\"]\n", "\"e u\" is no region"),
        ("base_url = \"https://a.example\"\nregions = [\"eu\", \"eu\"]\n", "\"eu\" twice"),
        ("base_url = \"https://a.example\"\npath = \"x?y\"\n", "path: not a path"),
        (
            "base_url = \"https://a.example\"\nauth = \"google\"\ngoogle = { token_url = \"http://plain.example/t\" }\n",
            "without encryption",
        ),
        (
            "base_url = \"https://a.example\"\nauth = \"sigv4\"\n",
            "aws.secret_access_key: secret_access_key is missing",
        ),
        (
            "base_url = \"https://a.example\"\nauth = \"salesforce\"\nkeys = [{ env = \"K\" }]\n",
            "one login and no keys",
        ),
        ("base_url = \"{where}/v1\"\nvariables = { where = \"ftp://x\" }\n", "not a URL"),
    ] {
        let place = Place::new(&[("K", "k")]).with("merit.toml", format!("[providers.a]\n{text}{MODELS}"));
        let problems = place.told();
        assert!(problems.iter().any(|problem| problem.contains(told)), "{text}: {problems:?}");
    }
}
