//! Forged tokens, at least 200 of them, are refused against an issuer that is served here; right ones in all their forms are not.

mod forgeries;

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
        bearer_file: None,
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
    let forged = forgeries::forged(&served, &key);
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
    // None of them caused a call to the issuer more than once again.
    assert!(served.requests() <= 2, "{}", served.requests());
    tokens.principal(&good).await.unwrap();
}

#[tokio::test]
async fn a_service_account_has_the_group_that_its_subject_is_mapped_to() {
    let served = Served::start().await.unwrap();
    let key = Key::new("one");
    served.publish(&[key.jwk()]);
    let portal = "system:serviceaccount:portal:portal";
    let groups = [(portal.to_owned(), "landlord:portals".to_owned())].into();
    let options = IssuerOptions { groups_claim: "sub".into(), groups, ..options_of(&served) };
    let tokens = Tokens::new(vec![options]).unwrap();
    let of = |subject: &str| key.sign(&header(), &landlord_test_tokens::claims(served.url(), subject));
    let groups = |principal: Principal| principal.groups.into_iter().collect::<Vec<_>>();
    assert_eq!(groups(tokens.principal(&of(portal)).await.unwrap()), ["landlord:portals"]);
    let other = tokens.principal(&of("system:serviceaccount:portal:default")).await.unwrap();
    assert_eq!(groups(other), ["corp:system:serviceaccount:portal:default"]);
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
    assert_eq!(served.requests(), 1);
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
    assert!(tokens.principal(&by_two).await.is_err(), "the issuer was called again too soon");
    tokio::time::pause();
    tokio::time::advance(keys::REFETCH_INTERVAL).await;
    tokio::time::resume();
    tokens.principal(&by_two).await.unwrap();
    assert!(tokens.principal(&by_one).await.is_err());
}

#[test]
fn issuers_are_queried_over_tls() {
    let options = |issuer: &str| IssuerOptions {
        name: "corp".into(),
        issuer: issuer.into(),
        audiences: vec!["landlord".into()],
        algorithms: vec![Algorithm::RS256],
        ca_file: None,
        bearer_file: None,
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

#[tokio::test]
async fn an_issuer_that_is_away_refuses_nobody() {
    let served = Served::start().await.unwrap();
    let (key, new) = (Key::new("one"), Key::new("two"));
    let token = key.sign(&header(), &claims(served.url()));
    let gone = Tokens::new(vec![IssuerOptions { issuer: "http://127.0.0.1:9".into(), ..options_of(&served) }]).unwrap();
    let of_gone = key.sign(&header(), &claims("http://127.0.0.1:9"));
    // Right after a start nobody knows the keys; what is wrong in itself is refused all the same.
    assert!(matches!(gone.principal(&of_gone).await, Err(Unauthenticated::Unavailable(_))));
    assert!(matches!(gone.principal("nonsense").await, Err(Unauthenticated::Refused(_))));
    // Later the keys of before hold, and a key that is not among them may be a new one.
    served.publish(&[key.jwk()]);
    let tokens = Tokens::new(vec![options_of(&served)]).unwrap();
    tokens.principal(&token).await.unwrap();
    served.require_bearer("nobody-has-it");
    let rotated = new.sign(&with(&header(), "kid", json!("two")), &claims(served.url()));
    tokio::time::sleep(keys::REFETCH_INTERVAL).await;
    assert!(matches!(tokens.principal(&rotated).await, Err(Unauthenticated::Unavailable(_))));
    tokens.principal(&token).await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_shows_its_keys_to_known_callers_only_gets_a_token_of_now() {
    let served = Served::start().await.unwrap();
    let key = Key::new("one");
    served.publish(&[key.jwk()]);
    served.require_bearer("second");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let options = || IssuerOptions { bearer_file: Some(file.clone()), ..options_of(&served) };
    for (content, wrong) in [(None, "token: "), (Some(""), "holds no token"), (Some("two words"), "holds no token")] {
        content.iter().for_each(|content| std::fs::write(&file, content).unwrap());
        let refused = Tokens::new(vec![options()]).unwrap_err().to_string();
        assert!(refused.contains(wrong) && refused.contains("bearer_file"), "{refused}");
    }
    let token = key.sign(&header(), &claims(served.url()));
    std::fs::write(&file, "first\n").unwrap();
    let early = Tokens::new(vec![options()]).unwrap();
    assert!(matches!(early.principal(&token).await, Err(Unauthenticated::Unavailable(_))));
    // Whoever mounts the file renews it: the next request has the new one.
    let tokens = Tokens::new(vec![options()]).unwrap();
    std::fs::write(&file, "second\n").unwrap();
    assert_eq!(tokens.principal(&token).await.unwrap().name, "corp:alice");
}
