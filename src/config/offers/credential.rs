//! From logins as they are written to what is exchanged for a token.

use std::path::Path as FilePath;

use http::{HeaderName, Uri};
use serde_json::Value;

use crate::catalog::Secret;
use crate::catalog::auth::{Ask, Assertion, Auth, Aws, Field, Grant, Impersonate};
use crate::catalog::reach::encoded;
use crate::config::check::Check;
use crate::config::raw::credential as raw;
use crate::config::secrets::{self, Reference};
use crate::config::tree::Path;
use crate::credential::{exchange, jwt};

/// What a Google token is for (developers.google.com/identity/protocols/oauth2/scopes).
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Google's metadata server (docs.cloud.google.com/compute/docs/metadata).
const GOOGLE_METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
/// Where a service account's assertion goes when its file does not say.
const GOOGLE_TOKEN: &str = "https://oauth2.googleapis.com/token";
/// Entra ID (learn.microsoft.com/entra/identity-platform).
const ENTRA: &str = "https://login.microsoftonline.com";
/// What an Azure `OpenAI` token is for.
const AZURE_SCOPE: &str = "https://cognitiveservices.azure.com/.default";
/// Azure's metadata server.
const AZURE_METADATA: &str = "http://169.254.169.254/metadata/identity/oauth2/token";
/// How a federated token is presented (RFC 7523).
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How a service account's assertion is (RFC 7523).
const BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How one token is exchanged for another (RFC 8693).
const EXCHANGE_GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What is wanted for it.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A login being checked.
pub(super) struct Login<'l, 'c> {
    /// The provider's key in the configuration.
    pub(super) path: &'l Path,
    pub(super) check: &'l mut Check<'c>,
}

fn text(value: impl Into<String>) -> Field {
    Field::Text(value.into())
}

fn form(url: Uri, fields: Vec<(&'static str, Field)>) -> Auth {
    Auth::Token(Box::new(Grant { url, ask: Ask::Form(fields), then: None }))
}

impl Login<'_, '_> {
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String> {
        self.check.environment.get(name).map(ToOwned::to_owned)
    }

    fn secret(&mut self, reference: Option<&Reference>, key: &str) -> Option<Secret> {
        let path = self.path.key(key);
        reference.and_then(|reference| reference.resolve(&path, self.check))
    }

    fn missing(&mut self, section: &str, key: &str, variable: &str) {
        let path = self.path.key(section).key(key);
        self.check.error(&path, format!("{key} is missing"), format!("add {key} = …, or set {variable}"));
    }

    /// An address that secrets are sent to.
    fn address(&mut self, text: &str, key: &str) -> Option<Uri> {
        let path = self.path.key(key);
        let Ok(url) = text.parse::<Uri>() else {
            self.check.error(
                &path,
                "an address that cannot be one",
                "for example https://login.example/token",
            );
            return None;
        };
        if !exchange::is_private(&url) {
            self.check.error(&path, "the login would be sent without encryption", "use https://");
            return None;
        }
        Some(url)
    }

    /// `auth = "google"`.
    pub(super) fn google(&mut self, raw: Option<&raw::Google>) -> Option<Auth> {
        let raw = raw.cloned().unwrap_or_default();
        let scope = raw.scope.unwrap_or_else(|| GOOGLE_SCOPE.to_owned());
        let file =
            raw.credentials.or_else(|| self.variable("GOOGLE_APPLICATION_CREDENTIALS").map(Into::into));
        let Some(file) = file else {
            let url = self.address(raw.token_url.as_deref().unwrap_or(GOOGLE_METADATA), "google")?;
            let headers = vec![(HeaderName::from_static("metadata-flavor"), text("Google"))];
            return Some(Auth::Token(Box::new(Grant { url, ask: Ask::Get(headers), then: None })));
        };
        self.check.files.push(file.clone());
        let path = self.path.key("google").key("credentials");
        let read = secrets::read(&file).map_err(|error| error.to_string());
        let parsed = read.and_then(|secret| {
            serde_json::from_str::<Value>(secret.expose()).map_err(|_| "not JSON".to_owned())
        });
        let json = match parsed {
            Ok(json) => json,
            Err(problem) => {
                let message = format!("{} cannot be read: {problem}", file.display());
                self.check.error(&path, message, "give the path of a Google credential file");
                return None;
            }
        };
        let google = GoogleFile { json: &json, file: &file, token_url: raw.token_url.as_deref(), scope };
        let grant = google.grant(self);
        if grant.is_none() {
            let message = format!("{} holds no credential that can be used", file.display());
            let advice = "a service_account, external_account (with a file) or authorized_user is needed";
            self.check.error(&path, message, advice);
        }
        grant.map(|grant| Auth::Token(Box::new(grant)))
    }

    /// `auth = "azure"` without a key.
    pub(super) fn azure(&mut self, raw: Option<&raw::Azure>) -> Option<Auth> {
        let raw = raw.cloned().unwrap_or_default();
        let scope = raw.scope.unwrap_or_else(|| AZURE_SCOPE.to_owned());
        let id = raw.client_id.or_else(|| self.variable("AZURE_CLIENT_ID"));
        let secret = match &raw.client_secret {
            Some(_) => Some(self.secret(raw.client_secret.as_ref(), "azure")?),
            None => self.check.environment.secret("AZURE_CLIENT_SECRET"),
        };
        let secret = secret.filter(|secret| !secret.expose().is_empty());
        let file =
            raw.federated_token_file.or_else(|| self.variable("AZURE_FEDERATED_TOKEN_FILE").map(Into::into));
        let proof = match (secret, file) {
            (Some(secret), _) => vec![("client_secret", Field::Secret(secret))],
            (None, Some(path)) => vec![
                ("client_assertion_type", text(ASSERTION)),
                ("client_assertion", Field::File { path, member: None }),
            ],
            (None, None) => return self.managed_identity(raw.identity_url.as_deref(), id, &scope),
        };
        let tenant = raw.tenant.or_else(|| self.variable("AZURE_TENANT_ID"));
        if tenant.is_none() {
            self.missing("azure", "tenant", "AZURE_TENANT_ID");
        }
        if id.is_none() {
            self.missing("azure", "client_id", "AZURE_CLIENT_ID");
        }
        let authority = raw.authority.or_else(|| self.variable("AZURE_AUTHORITY_HOST"));
        let authority = authority.unwrap_or_else(|| ENTRA.to_owned());
        let authority = authority.trim_end_matches('/');
        let url = self.address(&format!("{authority}/{}/oauth2/v2.0/token", encoded(&tenant?)), "azure")?;
        let mut fields = vec![
            ("grant_type", text("client_credentials")),
            ("client_id", text(id?)),
            ("scope", text(scope)),
        ];
        fields.extend(proof);
        Some(form(url, fields))
    }

    /// What a machine, a container app or a function is without any secret.
    fn managed_identity(&mut self, url: Option<&str>, id: Option<String>, scope: &str) -> Option<Auth> {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let endpoint = url.map(ToOwned::to_owned).or_else(|| self.variable("IDENTITY_ENDPOINT"));
        let proof = self.check.environment.secret("IDENTITY_HEADER").filter(|_| url.is_none());
        let (version, header) = match proof.filter(|secret| !secret.expose().is_empty()) {
            Some(secret) => {
                ("2019-08-01", (HeaderName::from_static("x-identity-header"), Field::Secret(secret)))
            }
            None => ("2018-02-01", (HeaderName::from_static("metadata"), text("true"))),
        };
        let base = endpoint.unwrap_or_else(|| AZURE_METADATA.to_owned());
        let id = id.map(|id| format!("&client_id={}", encoded(&id))).unwrap_or_default();
        let url = format!("{base}?api-version={version}&resource={}{id}", encoded(resource));
        let url = self.address(&url, "azure")?;
        Some(Auth::Token(Box::new(Grant { url, ask: Ask::Get(vec![header]), then: None })))
    }

    /// `auth = "salesforce"`.
    pub(super) fn salesforce(&mut self, raw: Option<&raw::Salesforce>) -> Option<Auth> {
        let raw = raw.cloned().unwrap_or_default();
        let section = self.path.key("salesforce");
        for (key, given) in [
            ("domain", raw.domain.is_some()),
            ("client_id", raw.client_id.is_some()),
            ("client_secret", raw.client_secret.is_some()),
        ] {
            self.check.require(&section, key, given);
        }
        let id = self.secret(raw.client_id.as_ref(), "salesforce")?;
        let secret = self.secret(raw.client_secret.as_ref(), "salesforce")?;
        let domain = raw.domain?;
        let url = format!("{}/services/oauth2/token", domain.trim_end_matches('/'));
        let url = self.address(&url, "salesforce")?;
        let fields = vec![
            ("grant_type", text("client_credentials")),
            ("client_id", Field::Secret(id)),
            ("client_secret", Field::Secret(secret)),
        ];
        Some(form(url, fields))
    }

    /// `auth = "sigv4"`. `region` is the provider's.
    pub(super) fn aws(&mut self, raw: Option<&raw::Aws>, region: Option<&str>) -> Option<Auth> {
        let raw = raw.cloned().unwrap_or_default();
        let environment = self.check.environment;
        let or_variable = |found: Option<Secret>, name: &str| {
            found.or_else(|| environment.secret(name)).filter(|secret| !secret.expose().is_empty())
        };
        let id = raw.access_key_id.or_else(|| self.variable("AWS_ACCESS_KEY_ID"));
        let secret = self.secret(raw.secret_access_key.as_ref(), "aws");
        let secret = or_variable(secret, "AWS_SECRET_ACCESS_KEY");
        // A session belongs to the keys it came with.
        let session = match &raw.secret_access_key {
            Some(_) => self.secret(raw.session_token.as_ref(), "aws"),
            None => or_variable(self.secret(raw.session_token.as_ref(), "aws"), "AWS_SESSION_TOKEN"),
        };
        let region = raw.region.or_else(|| region.map(ToOwned::to_owned));
        let region =
            region.or_else(|| self.variable("AWS_REGION")).or_else(|| self.variable("AWS_DEFAULT_REGION"));
        for (key, variable, given) in [
            ("access_key_id", "AWS_ACCESS_KEY_ID", id.is_some()),
            ("secret_access_key", "AWS_SECRET_ACCESS_KEY", secret.is_some()),
            ("region", "AWS_REGION", region.is_some()),
        ] {
            if !given {
                self.missing("aws", key, variable);
            }
        }
        Some(Auth::SigV4(Box::new(Aws {
            id: id?,
            secret: secret?,
            session_token: session,
            region: region?,
            service: raw.service.unwrap_or_else(|| "bedrock".to_owned()),
        })))
    }
}

/// A credential file of Google's
/// (docs.cloud.google.com/docs/authentication/application-default-credentials).
struct GoogleFile<'f> {
    json: &'f Value,
    file: &'f FilePath,
    /// Instead of what the file says.
    token_url: Option<&'f str>,
    scope: String,
}

impl GoogleFile<'_> {
    fn member(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    fn secret(&self, pointer: &str) -> Option<Field> {
        self.member(pointer).map(|text| Field::Secret(Secret::new(text.to_owned())))
    }

    fn grant(&self, login: &mut Login<'_, '_>) -> Option<Grant> {
        match self.member("/type")? {
            "service_account" => self.service_account(login),
            "external_account" => self.external_account(login),
            "authorized_user" => self.authorized_user(login),
            _ => None,
        }
    }

    fn service_account(&self, login: &mut Login<'_, '_>) -> Option<Grant> {
        let audience = self.token_url.or_else(|| self.member("/token_uri")).unwrap_or(GOOGLE_TOKEN);
        let url = login.address(audience, "google")?;
        let private_key = Secret::new(self.member("/private_key")?.to_owned());
        if let Err(problem) = jwt::check(&private_key) {
            let path = login.path.key("google").key("credentials");
            let message = format!("{}: private_key is {problem}", self.file.display());
            login.check.error(&path, message, "make a new key for the service account");
        }
        let assertion = Assertion {
            issuer: self.member("/client_email")?.to_owned(),
            key_id: self.member("/private_key_id").unwrap_or_default().to_owned(),
            private_key,
            scope: self.scope.clone(),
            audience: audience.to_owned(),
        };
        let fields = vec![("grant_type", text(BEARER_GRANT)), ("assertion", Field::Assertion(assertion))];
        Some(Grant { url, ask: Ask::Form(fields), then: None })
    }

    fn authorized_user(&self, login: &mut Login<'_, '_>) -> Option<Grant> {
        let url = login.address(self.token_url.unwrap_or(GOOGLE_TOKEN), "google")?;
        let fields = vec![
            ("grant_type", text("refresh_token")),
            ("client_id", text(self.member("/client_id")?)),
            ("client_secret", self.secret("/client_secret")?),
            ("refresh_token", self.secret("/refresh_token")?),
        ];
        Some(Grant { url, ask: Ask::Form(fields), then: None })
    }

    /// Workload identity federation, where the other token is in a file.
    fn external_account(&self, login: &mut Login<'_, '_>) -> Option<Grant> {
        let url = login.address(self.token_url.or_else(|| self.member("/token_url"))?, "google")?;
        let is_json = self.member("/credential_source/format/type") == Some("json");
        let member = self.member("/credential_source/format/subject_token_field_name");
        let subject = Field::File {
            path: self.member("/credential_source/file")?.into(),
            member: member.filter(|_| is_json).map(ToOwned::to_owned),
        };
        let then = match self.member("/service_account_impersonation_url") {
            Some(text) => {
                Some(Impersonate { url: login.address(text, "google")?, scope: self.scope.clone() })
            }
            None => None,
        };
        let fields = vec![
            ("grant_type", text(EXCHANGE_GRANT)),
            ("audience", text(self.member("/audience")?)),
            ("scope", text(if then.is_some() { GOOGLE_SCOPE } else { &self.scope })),
            ("requested_token_type", text(ACCESS_TOKEN)),
            ("subject_token_type", text(self.member("/subject_token_type")?)),
            ("subject_token", subject),
        ];
        Some(Grant { url, ask: Ask::Form(fields), then })
    }
}
