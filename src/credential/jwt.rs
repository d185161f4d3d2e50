//! Assertions: short texts that say who we are, signed with our key (RFC 7523,
//! and developers.google.com/identity/protocols/oauth2/service-account, seen
//! 2026-11-25).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::catalog::Secret;
use crate::catalog::auth::Assertion;

/// The longest life that Google accepts.
const LIFE: Duration = Duration::from_secs(3600);

/// Why nothing could be signed. No part of the key is in it.
pub type BadKey = &'static str;

/// Whether `pem` is a key that can sign.
///
/// # Errors
/// Why it cannot.
pub fn check(pem: &Secret) -> Result<(), BadKey> {
    key(pem).map(drop)
}

fn key(pem: &Secret) -> Result<RsaKeyPair, BadKey> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes())
        .map_err(|_| "not a private key in PEM (PKCS #8)")?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
        .map_err(|_| "not an RSA key of 2048 bits or more that can sign")
}

/// The assertion as a JWT, made at `at`.
///
/// # Errors
/// When its key cannot sign.
pub fn sign(assertion: &Assertion, at: SystemTime) -> Result<String, BadKey> {
    let key = key(&assertion.private_key)?;
    let now = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": assertion.key_id });
    let claims = json!({
        "iss": assertion.issuer,
        "scope": assertion.scope,
        "aud": assertion.audience,
        "iat": now,
        "exp": now + LIFE.as_secs(),
    });
    let part = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let mut token = format!("{}.{}", part(&header), part(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
        .map_err(|_| "the key did not sign")?;
    token.push('.');
    token.push_str(&BASE64_URL_SAFE_NO_PAD.encode(signature));
    Ok(token)
}

#[cfg(test)]
mod tests {
    use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// Made for this test and used nowhere else.
    const KEY: &str = include_str!("../../tests/golden/credential/test-key.pem");

    fn assertion(pem: &str) -> Assertion {
        Assertion {
            issuer: "me@project.iam.example".to_owned(),
            key_id: "k1".to_owned(),
            private_key: Secret::new(pem.to_owned()),
            scope: "all".to_owned(),
            audience: "https://tokens.example/token".to_owned(),
        }
    }

    #[test]
    fn what_is_signed_can_be_verified_and_says_who_and_when() {
        let assertion = assertion(KEY);
        let token = sign(&assertion, UNIX_EPOCH + Duration::from_secs(1000)).unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let public = key(&assertion.private_key).unwrap().public_key().as_ref().to_vec();
        let verifier = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        verifier.verify(message.as_bytes(), &BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(message.split_once('.').unwrap().1).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(
            claims,
            json!({"iss": "me@project.iam.example", "scope": "all", "aud": "https://tokens.example/token", "iat": 1000, "exp": 4600})
        );
    }

    #[test]
    fn a_bad_key_is_told_without_a_word_of_it() {
        for pem in ["", "abcdef", "-----BEGIN PRIVATE KEY-----\nYWJj\n-----END PRIVATE KEY-----\n"] {
            let problem = sign(&assertion(pem), UNIX_EPOCH).unwrap_err();
            assert!(problem.starts_with("not a"), "{problem}");
        }
    }
}
