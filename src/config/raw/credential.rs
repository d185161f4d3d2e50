//! Logins as they are written: what a token is exchanged for.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::secrets::Reference;

/// `auth = "google"`. With nothing set: the file in
/// `GOOGLE_APPLICATION_CREDENTIALS`, else the metadata server of the machine.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Google {
    /// A credential file: a service account's key, a workload identity federation
    /// (`external_account`) or a user's (`authorized_user`).
    pub credentials: Option<PathBuf>,
    /// Where tokens are given, instead of where the credential file says, or of
    /// the metadata server.
    #[schemars(extend("x-kind" = "url"))]
    pub token_url: Option<String>,
    /// What the token is for; cloud-platform when absent.
    pub scope: Option<String>,
}

/// `auth = "azure"` without `key`: Entra ID. With a client secret its client
/// credentials, with a federated token's file workload identity, with neither
/// managed identity. What is absent is taken from the usual variables
/// (`AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, `AZURE_CLIENT_SECRET`,
/// `AZURE_FEDERATED_TOKEN_FILE`, `AZURE_AUTHORITY_HOST`, `IDENTITY_ENDPOINT`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Azure {
    /// The directory.
    pub tenant: Option<String>,
    /// The application, or the user-assigned managed identity.
    pub client_id: Option<String>,
    /// The application's secret.
    pub client_secret: Option<Reference>,
    /// The file of the token that a workload has, read at every exchange.
    pub federated_token_file: Option<PathBuf>,
    /// Where Entra ID is; `https://login.microsoftonline.com` when absent.
    #[schemars(extend("x-kind" = "url"))]
    pub authority: Option<String>,
    /// Where managed identities get tokens; the machine's metadata server when
    /// absent.
    #[schemars(extend("x-kind" = "url"))]
    pub identity_url: Option<String>,
    /// What the token is for; `https://cognitiveservices.azure.com/.default` when
    /// absent.
    pub scope: Option<String>,
}

/// `auth = "salesforce"`: a connected app's client credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Salesforce {
    /// My Domain: `https://NAME.my.salesforce.com`.
    #[schemars(extend("x-kind" = "url"))]
    pub domain: Option<String>,
    /// The consumer key.
    pub client_id: Option<Reference>,
    /// The consumer secret.
    pub client_secret: Option<Reference>,
}

/// `auth = "sigv4"`. What is absent is taken from the usual variables
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
/// `AWS_REGION`, `AWS_DEFAULT_REGION`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(inline)]
pub struct Aws {
    /// The access key's id.
    pub access_key_id: Option<String>,
    /// The access key.
    pub secret_access_key: Option<Reference>,
    /// Of temporary keys.
    pub session_token: Option<Reference>,
    /// The region that is signed for; the variable `region` when absent.
    pub region: Option<String>,
    /// The service that is signed for; `bedrock` when absent.
    pub service: Option<String>,
}
