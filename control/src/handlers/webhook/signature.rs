//! GitHub's signature of a delivery.

use std::fmt;

use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

/// The webhook's secrets, ready to verify with. `Debug` does not show them.
pub struct WebhookKey(Vec<hmac::Key>);

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(…)")
    }
}

/// Why a delivery is not taken to be GitHub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// There is none.
    #[error("no signature (x-hub-signature-256)")]
    Missing,
    /// It is not `sha256=` and 64 hexadecimal digits.
    #[error("the signature is malformed")]
    Malformed,
    /// It is not the signature of this body with our secret.
    #[error("the signature is wrong")]
    Wrong,
}

impl WebhookKey {
    /// The keys that `secrets` make: each line is one, and any of them will do. So a secret can be changed at GitHub and
    /// here one after the other. GitHub's form takes no line ends, so none is part of a secret.
    #[must_use]
    pub fn new(secrets: &SecretString) -> Self {
        let lines = secrets.expose_secret().lines().filter(|line| !line.is_empty());
        Self(lines.map(|line| hmac::Key::new(hmac::HMAC_SHA256, line.as_bytes())).collect())
    }

    /// Whether there is no secret at all: then no delivery is taken to be GitHub's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies `signature` in constant time: with every key, whichever it is that fits.
    pub fn verify(&self, signature: &Signature, body: &[u8]) -> Result<(), BadSignature> {
        let fits = |key| hmac::verify(key, body, &signature.0).is_ok();
        // `|` and no `any`: that would stop at the first.
        if self.0.iter().fold(false, |found, key| found | fits(key)) { Ok(()) } else { Err(BadSignature::Wrong) }
    }
}

/// A signature that is well-formed; whether it is right, [`WebhookKey::verify`] says.
#[derive(Clone, Copy, Debug)]
pub struct Signature([u8; 32]);

impl Signature {
    /// Reads `header`, the value of `x-hub-signature-256`.
    pub fn read(header: &str) -> Result<Self, BadSignature> {
        if header.is_empty() {
            return Err(BadSignature::Missing);
        }
        let digits = header.strip_prefix("sha256=").ok_or(BadSignature::Malformed)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadSignature::Malformed)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::{BadSignature, SecretString, Signature, WebhookKey};

    /// The vector that GitHub publishes with its description of webhook signatures.
    const PUBLISHED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn key() -> WebhookKey {
        WebhookKey::new(&SecretString::from("It's a Secret to Everybody"))
    }

    fn verify(key: &WebhookKey, header: &str, body: &[u8]) -> Result<(), BadSignature> {
        key.verify(&Signature::read(header)?, body)
    }

    #[test]
    fn the_published_vector() {
        assert_eq!(verify(&key(), PUBLISHED, b"Hello, World!"), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let body = b"Hello, World!";
        let wrong_last = format!("{}8", &PUBLISHED[..PUBLISHED.len() - 1]);
        let cases = [
            ("", BadSignature::Missing),
            (&PUBLISHED[7..], BadSignature::Malformed),
            (&PUBLISHED.replace("sha256", "sha1"), BadSignature::Malformed),
            ("sha256=zz", BadSignature::Malformed),
            ("sha256=", BadSignature::Malformed),
            (&PUBLISHED[..PUBLISHED.len() - 2], BadSignature::Malformed),
            (&wrong_last, BadSignature::Wrong),
        ];
        for (header, expected) in cases {
            assert_eq!(verify(&key(), header, body), Err(expected), "{header}");
        }
        assert_eq!(verify(&key(), PUBLISHED, b"Hello, World?"), Err(BadSignature::Wrong));
        let other = WebhookKey::new(&SecretString::from("it's a Secret to Everybody"));
        assert_eq!(verify(&other, PUBLISHED, body), Err(BadSignature::Wrong));
    }

    #[test]
    fn either_of_two_secrets_will_do() {
        let (good, other) = ("It's a Secret to Everybody", "another secret, the next one");
        for secrets in [
            format!("{good}\n{other}"),
            format!("{other}\n{good}"),
            format!("{good}\r\n{other}\r\n"),
            format!("\n{other}\n\n{good}\n"),
        ] {
            let key = WebhookKey::new(&SecretString::from(secrets.as_str()));
            assert_eq!(verify(&key, PUBLISHED, b"Hello, World!"), Ok(()), "{secrets:?}");
            assert_eq!(verify(&key, PUBLISHED, b"Hello, World?"), Err(BadSignature::Wrong), "{secrets:?}");
        }
        let both_others = WebhookKey::new(&SecretString::from(format!("{other}\n{other}2")));
        assert_eq!(verify(&both_others, PUBLISHED, b"Hello, World!"), Err(BadSignature::Wrong));
    }

    #[test]
    fn an_empty_line_is_no_secret() {
        // HMAC-SHA256 with an empty key, of an empty body: anybody can make it.
        let anybodys = "sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad";
        for secrets in ["", "\n", "\r\n\n", "It's a Secret to Everybody\n\n"] {
            let key = WebhookKey::new(&SecretString::from(secrets));
            assert_eq!(key.is_empty(), !secrets.contains("Secret"));
            assert_eq!(verify(&key, anybodys, b""), Err(BadSignature::Wrong), "{secrets:?}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", key()), "WebhookKey(…)");
    }
}
