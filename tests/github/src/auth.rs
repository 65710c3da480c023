//! The App's JWT: RS256, really verified. Rules and messages are GitHub's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::config::AppKey;

/// Longest time between `iat` and `exp`, in seconds.
const LONGEST: i64 = 600;
/// How far `iat` may lie ahead of our clock, in seconds.
const SKEW: i64 = 60;

/// Why a JWT was refused; the text is GitHub's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Not a JWT, not RS256, or the signature is another key's.
    #[error("A JSON web token could not be decoded")]
    Undecodable,
    /// `iat` is missing, no number, or in the future.
    #[error("'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued")]
    IssuedAt,
    /// `exp` is missing, no number, or past.
    #[error(
        "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires"
    )]
    Expired,
    /// `exp` is more than ten minutes after `iat`, or after now.
    #[error("'Expiration time' claim ('exp') is too far in the future")]
    TooFar,
    /// `iss` is neither the App's id nor its client id.
    #[error("Integration not found")]
    Issuer,
    /// Seen before; see [`crate::Quirks::refuse_repeated_jwt`].
    #[error("This JSON web token has already been used")]
    Repeated,
}

/// The App as its JWTs show it.
#[derive(Debug)]
pub(crate) struct App {
    id: u64,
    client_id: String,
    /// `RSAPublicKey` in DER, which is what ring takes.
    public_key: Vec<u8>,
}

impl App {
    pub(crate) fn new(id: u64, client_id: String, key: &AppKey) -> anyhow::Result<Self> {
        Ok(Self { id, client_id, public_key: public_key(key)? })
    }

    /// Checks everything but whether it was seen before.
    pub(crate) fn verify(&self, jwt: &str, now: Timestamp) -> Result<(), Refused> {
        let (signed, signature) = jwt.rsplit_once('.').ok_or(Refused::Undecodable)?;
        let (header, claims) = signed.split_once('.').ok_or(Refused::Undecodable)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Undecodable)?;
        if part(header)?.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(Refused::Undecodable);
        }
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| Refused::Undecodable)?;
        self.check_claims(&part(claims)?, now.as_second())
    }

    fn check_claims(&self, claims: &Value, now: i64) -> Result<(), Refused> {
        let begins = claims.get("iat").and_then(Value::as_i64).ok_or(Refused::IssuedAt)?;
        if begins > now + SKEW {
            return Err(Refused::IssuedAt);
        }
        let expires = claims.get("exp").and_then(Value::as_i64).ok_or(Refused::Expired)?;
        if expires <= now {
            return Err(Refused::Expired);
        }
        // GitHub measures against its own clock too: a client whose clock runs ahead is told the same.
        if expires > begins + LONGEST || expires > now + LONGEST {
            return Err(Refused::TooFar);
        }
        let issuer = match claims.get("iss") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => return Err(Refused::Issuer),
        };
        if issuer == self.id.to_string() || issuer == self.client_id { Ok(()) } else { Err(Refused::Issuer) }
    }
}

fn part(text: &str) -> Result<Value, Refused> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Undecodable)?;
    serde_json::from_slice(&bytes).map_err(|_| Refused::Undecodable)
}

fn public_key(key: &AppKey) -> anyhow::Result<Vec<u8>> {
    match key {
        AppKey::Private(pem) => {
            let der = PrivateKeyDer::from_pem_slice(pem.expose_secret().as_bytes())
                .map_err(|error| anyhow::anyhow!("reading the App's private key as PEM: {error}"))?;
            let pair = match &der {
                PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
                PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
                _ => anyhow::bail!("the App's private key is of a kind other than RSA"),
            };
            let pair = pair.map_err(|error| anyhow::anyhow!("reading the App's private key: {error}"))?;
            Ok(pair.public().as_ref().to_vec())
        }
        AppKey::Public(pem) => {
            let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
                .map_err(|error| anyhow::anyhow!("reading the App's public key as PEM: {error}"))?;
            unwrap_rsa(&der).ok_or_else(|| anyhow::anyhow!("the App's public key is of a kind other than RSA"))
        }
    }
}

/// Takes the `RSAPublicKey` out of a `SubjectPublicKeyInfo`: what follows `rsaEncryption, NULL` is a BIT STRING with a
/// two-byte length and no unused bits, for every key of 2048 bits and more (RFC 3279, section 2.3.1).
fn unwrap_rsa(der: &[u8]) -> Option<Vec<u8>> {
    const RSA_ENCRYPTION: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    let start = der.windows(RSA_ENCRYPTION.len()).position(|window| window == RSA_ENCRYPTION)?;
    let rest = der.get(start + RSA_ENCRYPTION.len()..)?;
    match rest {
        [0x03, 0x82, _, _, 0x00, key @ ..] => Some(key.to_vec()),
        _ => None,
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
