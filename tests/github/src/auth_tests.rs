//! Each way in which a JWT is refused, and those in which it isn't.

use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::config::LAPTOP_APP_KEY;

const NOW: i64 = 1_800_000_000;

fn app() -> App {
    App::new(77, "Iv1.abc".to_owned(), &AppKey::Private(SecretString::from(LAPTOP_APP_KEY))).unwrap()
}

fn sign(pem: &str, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let PrivateKeyDer::Pkcs1(der) = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap() else { panic!("PKCS#1") };
    let pair = RsaKeyPair::from_der(der.secret_pkcs1_der()).unwrap();
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn verify(claims: &Value) -> Result<(), Refused> {
    let jwt = sign(LAPTOP_APP_KEY, &json!({"alg": "RS256", "typ": "JWT"}), claims);
    app().verify(&jwt, Timestamp::from_second(NOW).unwrap())
}

#[test]
fn a_good_one_passes_whether_iss_is_number_text_or_client_id() {
    for iss in [json!(77), json!("77"), json!("Iv1.abc")] {
        assert_eq!(verify(&json!({"iat": NOW - 30, "exp": NOW + 540, "iss": iss})), Ok(()), "{iss}");
    }
}

#[test]
fn the_public_key_may_be_given_instead_of_the_private_one() {
    let public = AppKey::Public(include_str!("../fixtures/app-key.pub.pem").to_owned());
    assert_eq!(public_key(&public).unwrap(), app().public_key);
}

#[test]
fn a_key_that_is_no_key_is_refused_without_being_shown() {
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END RSA PRIVATE KEY-----\n";
    let error = App::new(1, String::new(), &AppKey::Private(SecretString::from(pem))).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("App's private key") && !text.contains("c2VjcmV0"), "{text}");
}

#[test]
fn claims_out_of_bounds_are_refused_each_for_its_reason() {
    let cases = [
        (json!({"exp": NOW + 500, "iss": 77}), Refused::IssuedAt),
        (json!({"iat": "now", "exp": NOW + 500, "iss": 77}), Refused::IssuedAt),
        (json!({"iat": NOW + 61, "exp": NOW + 500, "iss": 77}), Refused::IssuedAt),
        (json!({"iat": NOW, "iss": 77}), Refused::Expired),
        (json!({"iat": NOW, "exp": "soon", "iss": 77}), Refused::Expired),
        (json!({"iat": NOW - 700, "exp": NOW - 100, "iss": 77}), Refused::Expired),
        (json!({"iat": NOW - 600, "exp": NOW, "iss": 77}), Refused::Expired),
        (json!({"iat": NOW - 30, "exp": NOW + 571, "iss": 77}), Refused::TooFar),
        (json!({"iat": NOW + 30, "exp": NOW + 630, "iss": 77}), Refused::TooFar),
        (json!({"iat": NOW, "exp": NOW + 500}), Refused::Issuer),
        (json!({"iat": NOW, "exp": NOW + 500, "iss": 78}), Refused::Issuer),
        (json!({"iat": NOW, "exp": NOW + 500, "iss": "Iv1.other"}), Refused::Issuer),
    ];
    for (claims, reason) in cases {
        assert_eq!(verify(&claims), Err(reason), "{claims}");
    }
}

#[test]
fn the_edges_of_the_bounds_pass() {
    assert_eq!(verify(&json!({"iat": NOW, "exp": NOW + 600, "iss": 77})), Ok(()));
    assert_eq!(verify(&json!({"iat": NOW + 60, "exp": NOW + 600, "iss": 77})), Ok(()));
    assert_eq!(verify(&json!({"iat": NOW - 599, "exp": NOW + 1, "iss": 77})), Ok(()));
}

#[test]
fn what_is_not_signed_by_the_apps_key_with_rs256_is_undecodable() {
    let now = Timestamp::from_second(NOW).unwrap();
    let claims = json!({"iat": NOW, "exp": NOW + 500, "iss": 77});
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let good = sign(LAPTOP_APP_KEY, &header, &claims);
    assert_eq!(app().verify(&good, now), Ok(()));

    let other_key = sign(include_str!("../fixtures/other-key.pem"), &header, &claims);
    let other_alg = sign(LAPTOP_APP_KEY, &json!({"alg": "none"}), &claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (head, _) = signed.split_once('.').unwrap();
    let richer = URL_SAFE_NO_PAD.encode(json!({"iat": NOW, "exp": NOW + 501, "iss": 77}).to_string());
    let changed = format!("{head}.{richer}.{signature}");
    for jwt in [&other_key, &other_alg, &changed, signed, "a.b.c", "", ".."] {
        assert_eq!(app().verify(jwt, now), Err(Refused::Undecodable), "{jwt}");
    }
}
