use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use jsonwebtoken::{EncodingKey, Header};
use landlord_test_tokens::{Issuer as Served, Key, header, now, with, without};
use serde_json::json;

use super::*;

fn options_of(served: &Served) -> IssuerOptions {
    IssuerOptions {
        name: "corp".into(),
        issuer: served.url().into(),
        audiences: vec!["landlord".into()],
        algorithms: vec![Algorithm::ES256, Algorithm::RS256],
        ca_file: None,
        principal_claim: "sub".into(),
        groups_claim: "groups".into(),
        customer_claim: "customer".into(),
        groups: [("admins".to_owned(), "landlord:operators".to_owned())].into(),
    }
}

fn claims(issuer: &str) -> Value {
    let claims = landlord_test_tokens::claims(issuer, "alice");
    let claims = with(&claims, "groups", json!(["admins", "staff", "landlord:operators"]));
    with(&claims, "customer", json!("acme"))
}

/// Every forgery, each with what it is.
fn forged(served: &Served, key: &Key) -> Vec<(String, String)> {
    let (header, claims) = (header(), claims(served.url()));
    let good = key.sign(&header, &claims);
    let parts: Vec<&str> = good.split('.').collect();
    let (head, payload, signature) = (parts[0], parts[1], parts[2]);
    let mut all: Vec<(String, String)> = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    let text = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    // Every part tampered with, a character at a time.
    for (index, byte) in good.bytes().enumerate().filter(|(index, byte)| *byte != b'.' && index % 5 != 4) {
        // The last characters of a part hold bits that belong to no byte.
        if good.as_bytes().get(index + 1).is_none_or(|next| *next == b'.') {
            continue;
        }
        let mut bytes = good.clone().into_bytes();
        bytes[index] = if byte == b'A' { b'B' } else { b'A' };
        add(format!("tampered at {index}"), String::from_utf8(bytes).unwrap());
    }
    for alg in
        ["none", "None", "NONE", "nOnE", "", "ES256 ", "es256", "ES384", "RS256", "RS512", "PS256", "EdDSA", "HS256"]
    {
        let forged_header = text(&with(&header, "alg", json!(alg)));
        add(format!("alg {alg:?} unsigned"), format!("{forged_header}.{payload}."));
        add(format!("alg {alg:?} with the old signature"), format!("{forged_header}.{payload}.{signature}"));
    }
    for alg in [json!(null), json!(256), json!(["ES256"]), json!({"alg": "ES256"})] {
        add(format!("alg {alg}"), key.sign(&with(&header, "alg", alg), &claims));
    }
    add("no alg".into(), key.sign(&without(&header, "alg"), &claims));
    // What is public as an HMAC's secret.
    let secrets = [
        key.public().0.into_bytes(),
        key.public().1,
        key.jwk().to_string().into_bytes(),
        key.jwk()["x"].as_str().unwrap().into(),
        Vec::from(*b"secret"),
    ];
    for secret in &secrets {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let header = Header { kid: Some("one".into()), ..Header::new(algorithm) };
            let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret).unwrap()).unwrap();
            add(format!("{algorithm:?} with something public"), token);
        }
    }
    let thief = Key::new("one");
    add("another's key under the right kid".into(), thief.sign(&header, &claims));
    add("another's key without kid".into(), thief.sign(&without(&header, "kid"), &claims));
    for name in ["jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "enc"] {
        for value in [json!("https://evil.example.com/keys"), thief.jwk(), json!(["x"]), json!(null)] {
            add(format!("{name} {value} by a thief"), thief.sign(&with(&header, name, value.clone()), &claims));
            add(format!("{name} {value}"), key.sign(&with(&header, name, value), &claims));
        }
    }
    let kids = [
        json!("two"),
        json!(""),
        json!("../../../../dev/null"),
        json!("https://evil.example.com"),
        json!("one' OR '1'='1"),
        json!("one\u{0}"),
        json!("one "),
        json!("k".repeat(9_000)),
        json!(1),
        json!(["one"]),
        json!({"kid": "one"}),
        json!(true),
        json!(null),
    ];
    for kid in kids {
        add(format!("kid {kid:.40}"), key.sign(&with(&header, "kid", kid), &claims));
    }
    for kind in [json!("JWE"), json!("dpop+jwt"), json!("logout+jwt"), json!(1), json!("")] {
        add(format!("typ {kind}"), key.sign(&with(&header, "typ", kind), &claims));
    }
    let url = served.url();
    let wrong = [
        (
            "iss",
            vec![
                json!("https://evil.example.com"),
                json!(format!("{url}/")),
                json!(format!("{url}.evil")),
                json!(""),
                json!([url]),
                json!(null),
                json!(7),
                json!(url.to_uppercase()),
            ],
        ),
        (
            "aud",
            vec![
                json!("other"),
                json!(""),
                json!([]),
                json!(["other", "landlor"]),
                json!("landlord "),
                json!("LANDLORD"),
                json!(null),
                json!(1),
                json!({"landlord": true}),
                json!([["landlord"]]),
            ],
        ),
        (
            "exp",
            vec![
                json!(now() - 60),
                json!(0),
                json!(-1),
                json!("soon"),
                json!(null),
                json!((now() + 600).to_string()),
                json!([now() + 600]),
                json!(true),
                json!(now() - 86_400),
            ],
        ),
        ("nbf", vec![json!(now() + 120), json!("now"), json!(now() + 86_400), json!([])]),
        ("iat", vec![json!(now() + 120), json!("now"), json!(-5), json!(now() + 86_400)]),
        (
            "sub",
            vec![
                json!(""),
                json!(null),
                json!(7),
                json!(["alice"]),
                json!("a\u{7}"),
                json!("a\nb"),
                json!("s".repeat(300)),
            ],
        ),
        (
            "groups",
            vec![json!(7), json!([7]), json!({"admins": true}), json!([["admins"]]), json!([""]), json!(["a\u{0}"])],
        ),
        ("customer", vec![json!("Acme Inc"), json!(["acme"]), json!(7), json!("../globex"), json!("")]),
    ];
    for (claim, values) in wrong {
        for value in values {
            add(format!("{claim} {value:.40}"), key.sign(&header, &with(&claims, claim, value)));
        }
    }
    for claim in ["iss", "aud", "exp", "sub"] {
        add(format!("no {claim}"), key.sign(&header, &without(&claims, claim)));
    }
    let structures = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a.b.c".into(),
        good.replace('.', ""),
        format!("{good}."),
        format!(".{good}"),
        format!("{head}.{payload}"),
        format!("{good}.{signature}"),
        format!("{good}.{signature}.x"),
        format!(" {good}"),
        format!("{good}="),
        format!("{good}\n"),
        format!("Bearer {good}"),
        format!("{}.{payload}.{signature}", BASE64_URL_SAFE.encode(header.to_string() + " ")),
        format!("{}.{payload}.{signature}", BASE64_STANDARD.encode("{\"alg\":\"ES256\",\"kid\":\"one?>\"}")),
        format!("{}.{payload}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("[]")),
        format!("{}.{payload}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("not json")),
        format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("[]")),
        format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("{\"iss\":\"")),
        format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("[".repeat(2_000))),
        "\u{1F511}.\u{1F511}.\u{1F511}".into(),
    ];
    for (index, token) in structures.into_iter().enumerate() {
        add(format!("structure {index}"), token);
    }
    add("too large, and well signed".into(), key.sign(&header, &with(&claims, "padding", json!("p".repeat(17_000)))));
    all
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let served = Served::start().await.unwrap();
    let key = Key::new("one");
    served.publish(&[key.jwk()]);
    let tokens = Tokens::new(vec![options_of(&served)]).unwrap();
    let good = key.sign(&header(), &claims(served.url()));
    let principal = tokens.principal(&good).await.unwrap();
    assert_eq!(principal.name, "corp:alice");
    assert_eq!(principal.customer.as_ref().unwrap().as_str(), "acme");
    // An issuer grants nothing by the name of a group: what is not mapped has its prefix.
    let groups: Vec<&str> = principal.groups.iter().map(String::as_str).collect();
    assert_eq!(groups, ["corp:landlord:operators", "corp:staff", "landlord:operators"]);
    let forged = forged(&served, &key);
    assert!(forged.len() >= 200, "{}", forged.len());
    for (what, token) in &forged {
        let refused = tokens.principal(token).await;
        assert!(refused.is_err(), "{what}: {token} is {refused:?}");
        let text = refused.unwrap_err().to_string();
        assert!(
            text.len() < 300 && !token.split('.').any(|part| part.len() > 20 && text.contains(part)),
            "{what}: {text}"
        );
    }
    // None of them made the issuer be asked more than once again.
    assert!(served.asked() <= 2, "{}", served.asked());
    tokens.principal(&good).await.unwrap();
}

#[tokio::test]
async fn what_is_right_is_taken_in_all_its_forms() {
    let served = Served::start().await.unwrap();
    let key = Key::new("one");
    served.publish(&[key.jwk(), json!({"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"})]);
    let tokens = Tokens::new(vec![options_of(&served)]).unwrap();
    let claims = claims(served.url());
    let right = [
        key.sign(&without(&header(), "typ"), &claims),
        key.sign(&without(&header(), "kid"), &claims),
        key.sign(&with(&header(), "typ", json!("at+jwt")), &claims),
        key.sign(&header(), &with(&claims, "aud", json!(["other", "landlord"]))),
        key.sign(&header(), &with(&claims, "exp", json!(now() - 5))),
        key.sign(&header(), &with(&claims, "nbf", json!(now() + 5))),
        key.sign(&header(), &without(&without(&claims, "nbf"), "iat")),
        key.sign(&header(), &with(&claims, "groups", json!("staff"))),
        key.sign(&header(), &without(&without(&claims, "groups"), "customer")),
    ];
    for token in right {
        tokens.principal(&token).await.unwrap();
    }
    assert_eq!(served.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_a_withdrawn_one_is_not() {
    let served = Served::start().await.unwrap();
    let (one, two) = (Key::new("one"), Key::new("two"));
    served.publish(&[one.jwk()]);
    let tokens = Tokens::new(vec![options_of(&served)]).unwrap();
    let by_one = one.sign(&header(), &claims(served.url()));
    let by_two = two.sign(&with(&header(), "kid", json!("two")), &claims(served.url()));
    tokens.principal(&by_one).await.unwrap();
    served.publish(&[two.jwk()]);
    assert!(tokens.principal(&by_two).await.is_err(), "asked again too soon");
    tokio::time::pause();
    tokio::time::advance(keys::REFETCH_INTERVAL).await;
    tokio::time::resume();
    tokens.principal(&by_two).await.unwrap();
    assert!(tokens.principal(&by_one).await.is_err());
}

#[test]
fn issuers_are_asked_over_tls() {
    let options = |issuer: &str| IssuerOptions {
        name: "corp".into(),
        issuer: issuer.into(),
        audiences: vec!["landlord".into()],
        algorithms: vec![Algorithm::RS256],
        ca_file: None,
        principal_claim: "sub".into(),
        groups_claim: "groups".into(),
        customer_claim: String::new(),
        groups: BTreeMap::new(),
    };
    for fine in ["https://login.example.com", "http://127.0.0.1:8080/realm"] {
        Tokens::new(vec![options(fine)]).unwrap();
    }
    for bad in ["http://login.example.com", "http://localhost.evil.com", "ftp://x", "login.example.com", ""] {
        assert!(Tokens::new(vec![options(bad)]).is_err(), "{bad}");
    }
}
