//! The signature of a webhook.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// `x-hub-signature-256` of a body: `sha256=` and the HMAC-SHA256 over its raw bytes, in hex.
#[must_use]
pub fn signature(secret: &SecretString, body: &[u8]) -> String {
    let key = secret.expose_secret().as_bytes();
    // HMAC takes keys of any length; the error is there for other algorithms.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
    #[test]
    fn githubs_published_vector() {
        let secret = SecretString::from("It's a Secret to Everybody");
        assert_eq!(
            signature(&secret, b"Hello, World!"),
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }

    #[test]
    fn a_key_longer_than_a_block_is_taken_too() {
        let secret = SecretString::from("k".repeat(500));
        assert_eq!(signature(&secret, b"").len(), "sha256=".len() + 64);
    }
}
