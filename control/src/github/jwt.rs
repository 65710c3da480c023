//! The App's JWT: how it says to GitHub that it is the App.

use std::fmt;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{rand::SystemRandom, rsa::KeyPair, signature};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// Clocks differ: GitHub refuses a token from the future.
const BACKDATED_SECONDS: u64 = 30;
/// GitHub allows 600 s from `iat`.
const LIFETIME_SECONDS: u64 = 570;

/// An App's id and private key.
pub struct AppKey {
    app_id: String,
    key: KeyPair,
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

/// Why a private key can't be used. Never quotes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor base64 of PEM, or no private key in it.
    #[error("the App's private key is neither a PEM private key (PKCS#1 or PKCS#8) nor base64 of one")]
    NotPem,
    /// Of another kind than RSA.
    #[error("the App's private key is not an RSA key")]
    NotRsa,
    /// RSA, and ring refuses it.
    #[error("the App's private RSA key is refused: {0}")]
    Refused(String),
    /// The signature failed.
    #[error("signing the App's token failed")]
    Signing,
}

impl AppKey {
    /// Reads a private key in PEM, PKCS#1 (as GitHub gives it) or PKCS#8. The PEM may be wrapped in base64, and its line
    /// ends may be written as `\n`: that is how keys come out of environment files and JSON.
    pub fn from_pem(app_id: impl Into<String>, text: &SecretString) -> Result<Self, KeyError> {
        let pem = pem_of(text.expose_secret()).ok_or(KeyError::NotPem)?;
        let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes()).map_err(|_| KeyError::NotPem)?;
        let key = match &der {
            PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(KeyError::NotRsa),
        };
        let key = key.map_err(|refused| KeyError::Refused(refused.to_string()))?;
        Ok(Self { app_id: app_id.into(), key })
    }

    /// The App's id.
    #[must_use]
    pub fn app_id(&self) -> &str {
        &self.app_id
    }

    /// A token for the time `now` (seconds since 1970). `id` makes it unlike any other: GitHub has refused two equal
    /// ones in one second.
    pub fn token(&self, now: u64, id: &str) -> Result<SecretString, KeyError> {
        let issued = now.saturating_sub(BACKDATED_SECONDS);
        let header = json!({"alg": "RS256", "typ": "JWT"});
        let claims = json!({"iat": issued, "exp": issued + LIFETIME_SECONDS, "iss": self.app_id, "jti": id});
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let padding = &signature::RSA_PKCS1_SHA256;
        self.key
            .sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| KeyError::Signing)?;
        Ok(SecretString::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

/// The PEM text in `text`, with real line ends.
fn pem_of(text: &str) -> Option<SecretString> {
    const BEGIN: &str = "-----BEGIN";
    let with_lines = |text: &str| SecretString::from(text.replace("\\r", "").replace("\\n", "\n"));
    let text = text.trim().trim_matches('"');
    if text.contains(BEGIN) {
        return Some(with_lines(text));
    }
    let packed = SecretString::from(with_lines(text).expose_secret().split_whitespace().collect::<String>());
    let bytes = STANDARD.decode(packed.expose_secret()).ok()?;
    let pem = SecretString::from(String::from_utf8(bytes).ok()?);
    pem.expose_secret().contains(BEGIN).then(|| with_lines(pem.expose_secret().trim()))
}

#[cfg(test)]
pub(super) mod tests;
