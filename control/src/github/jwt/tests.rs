use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{AppKey, KeyError};

/// Made for these tests; no App has it.
pub(crate) const PKCS1: &str = include_str!("../../../testdata/app-key.pkcs1.pem");
/// The same key.
pub(crate) const PKCS8: &str = include_str!("../../../testdata/app-key.pkcs8.pem");
const EC: &str = include_str!("../../../testdata/ec.pem");

fn part(text: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}

#[test]
fn a_token_is_signed_by_the_key_and_says_what_github_wants() {
    for pem in [PKCS1, PKCS8] {
        let key = AppKey::from_pem("4711", &SecretString::from(pem)).unwrap();
        let token = key.token(1000, "a-uuid").unwrap();
        let token = token.expose_secret();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(header), json!({"alg": "RS256", "typ": "JWT"}));
        assert_eq!(part(claims), json!({"iat": 970, "exp": 1540, "iss": "4711", "jti": "a-uuid"}));
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.key.public().as_ref());
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }
}

#[test]
fn a_key_may_be_wrapped_as_secrets_are() {
    let token = |text: &str| {
        let key = AppKey::from_pem("4711", &SecretString::from(text)).unwrap();
        key.token(1000, "a-uuid").unwrap().expose_secret().to_owned()
    };
    let plain = token(PKCS1);
    for pem in [PKCS1, PKCS8] {
        let escaped = pem.replace('\n', "\\n");
        let packed = STANDARD.encode(pem);
        let in_lines: Vec<&str> = packed.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect();
        let wrapped = [
            pem.replace('\n', "\r\n"),
            format!("\n  {pem}\n\n"),
            escaped.clone(),
            pem.replace('\n', "\\r\\n"),
            format!("\"{escaped}\""),
            packed.clone(),
            in_lines.join("\n"),
            in_lines.join("\\n"),
            STANDARD.encode(&escaped),
        ];
        for text in wrapped {
            assert_eq!(token(&text), plain, "{text}");
        }
    }
}

#[test]
fn other_keys_are_refused_without_being_quoted() {
    let refused = |pem: &str| AppKey::from_pem("4711", &SecretString::from(pem)).unwrap_err();
    assert_eq!(refused(""), KeyError::NotPem);
    assert_eq!(refused("MIIEow"), KeyError::NotPem);
    assert_eq!(refused(&STANDARD.encode("no key")), KeyError::NotPem);
    assert_eq!(refused(&STANDARD.encode([0xff, 0xfe])), KeyError::NotPem);
    assert_eq!(refused(EC), KeyError::NotRsa);
    let broken = PKCS1.replacen("MII", "MIA", 1);
    assert!(matches!(refused(&broken), KeyError::Refused(_)));
}

#[test]
fn debug_shows_no_key() {
    let key = AppKey::from_pem("4711", &SecretString::from(PKCS1)).unwrap();
    assert_eq!(format!("{key:?}"), "AppKey { app_id: \"4711\", .. }");
}
