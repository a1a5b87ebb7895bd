//! Tokens that must be refused, each with what is wrong with it.

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;

/// What each forgery is, and the token.
pub(super) type Forgeries = Vec<(String, String)>;

/// Every forgery.
pub(super) fn forged(served: &Served, key: &Key) -> Forgeries {
    let (header, claims) = (header(), claims(served.url()));
    let good = key.sign(&header, &claims);
    let large = key.sign(&header, &with(&claims, "padding", json!("p".repeat(17_000))));
    [
        tampered(&good),
        wrong_algorithms(&good, key, &header, &claims),
        public_secrets(key, &claims),
        wrong_keys(key, &header, &claims),
        wrong_headers(key, &header, &claims),
        wrong_claims(served.url(), key, &header, &claims),
        wrong_structures(&good, &header),
        vec![("too large, and well signed".into(), large)],
    ]
    .concat()
}

/// Every part tampered with, a character at a time.
fn tampered(good: &str) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    for (index, byte) in good.bytes().enumerate().filter(|(index, byte)| *byte != b'.' && index % 5 != 4) {
        // The last characters of a part hold bits that belong to no byte.
        if good.as_bytes().get(index + 1).is_none_or(|next| *next == b'.') {
            continue;
        }
        let mut bytes = good.as_bytes().to_vec();
        bytes[index] = if byte == b'A' { b'B' } else { b'A' };
        add(format!("tampered at {index}"), String::from_utf8(bytes).unwrap());
    }
    all
}

/// Algorithms that nobody allowed, and none.
fn wrong_algorithms(good: &str, key: &Key, header: &Value, claims: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    let parts: Vec<&str> = good.split('.').collect();
    let (payload, signature) = (parts[1], parts[2]);
    for alg in
        ["none", "None", "NONE", "nOnE", "", "ES256 ", "es256", "ES384", "RS256", "RS512", "PS256", "EdDSA", "HS256"]
    {
        let forged_header = encoded(&with(header, "alg", json!(alg)));
        add(format!("alg {alg:?} unsigned"), format!("{forged_header}.{payload}."));
        add(format!("alg {alg:?} with the old signature"), format!("{forged_header}.{payload}.{signature}"));
    }
    for alg in [json!(null), json!(256), json!(["ES256"]), json!({"alg": "ES256"})] {
        add(format!("alg {alg}"), key.sign(&with(header, "alg", alg), claims));
    }
    add("no alg".into(), key.sign(&without(header, "alg"), claims));
    all
}

/// What is public as the secret of an HMAC.
fn public_secrets(key: &Key, claims: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
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
            let token = jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret).unwrap()).unwrap();
            add(format!("{algorithm:?} with something public"), token);
        }
    }
    all
}

/// Another's key, and headers that bring a key of their own.
fn wrong_keys(key: &Key, header: &Value, claims: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    let thief = Key::new("one");
    add("another's key under the right kid".into(), thief.sign(header, claims));
    add("another's key without kid".into(), thief.sign(&without(header, "kid"), claims));
    for name in ["jku", "x5u", "x5c", "jwk", "crit", "b64", "zip", "enc"] {
        for value in [json!("https://evil.example.com/keys"), thief.jwk(), json!(["x"]), json!(null)] {
            add(format!("{name} {value} by a thief"), thief.sign(&with(header, name, value.clone()), claims));
            add(format!("{name} {value}"), key.sign(&with(header, name, value), claims));
        }
    }
    all
}

/// Names of keys that lead elsewhere, and tokens of another kind.
fn wrong_headers(key: &Key, header: &Value, claims: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
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
        add(format!("kid {kid:.40}"), key.sign(&with(header, "kid", kid), claims));
    }
    for kind in [json!("JWE"), json!("dpop+jwt"), json!("logout+jwt"), json!(1), json!("")] {
        add(format!("typ {kind}"), key.sign(&with(header, "typ", kind), claims));
    }
    all
}

/// Each claim with values that it must not have.
fn wrong_claims(url: &str, key: &Key, header: &Value, claims: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    for (claim, values) in wrong_values(url) {
        for value in values {
            add(format!("{claim} {value:.40}"), key.sign(header, &with(claims, claim, value)));
        }
    }
    for claim in ["iss", "aud", "exp", "sub"] {
        add(format!("no {claim}"), key.sign(header, &without(claims, claim)));
    }
    all
}

/// Values that a claim must not have.
fn wrong_values(url: &str) -> Vec<(&'static str, Vec<Value>)> {
    vec![
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
    ]
}

/// What is no token at all, or another form of a good one.
fn wrong_structures(good: &str, header: &Value) -> Forgeries {
    let mut all = Vec::new();
    let mut add = |what: String, token: String| all.push((what, token));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, payload, signature) = (parts[0], parts[1], parts[2]);
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
    all
}

fn encoded(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}
