//! TLS: what is recorded, and that each thing that can be wrong with a certificate is told apart.

use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use rcgen::date_time_ymd;
use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::peers::authority::{Authority, Identity};
use crate::peers::probing::{Inspect, probe};
use crate::peers::tcp::{Peer, answer, ok, path};

/// One attempt over TLS against a server with this configuration.
async fn over(config: ServerConfig, tls: Value) -> ProbeResult {
    let peer = Peer::secure_site(config, |_| ok("Create")).await;
    probe(json!({"url": peer.secure_url("/"), "tls": tls})).await
}

#[tokio::test]
async fn a_session_and_its_certificate_are_recorded() {
    let root = Authority::new("root");
    let identity = root.issue(&["localhost", "pika.test"]);
    let result = over(identity.server(&[]), json!({"ca": root.pem()})).await;
    result.assert_ok();
    assert_eq!(result.fact("tls_version"), "TLS 1.3");
    let cipher = result.fact("tls_cipher");
    assert!(["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"].contains(&cipher));
    assert_eq!(result.fact("certificate_subject"), "CN=leaf");
    assert_eq!(result.fact("certificate_issuer"), "CN=root");
    assert_eq!(result.fact("certificate_names"), "localhost,pika.test");
    assert_eq!(result.fact("certificate_not_after"), "2100-01-01T00:00:00Z");
    assert_eq!(result.fact("certificate_fingerprint").len(), 64);
    assert!(!result.fact("certificate_serial").is_empty());
    assert_eq!(result.fact("certificate_problem"), "");
    assert_eq!(result.findings.measure("certificate_expiry"), Some(4_102_444_800.0));
}

#[tokio::test]
async fn tls_1_2_is_spoken_unless_1_3_is_asked_for() {
    let root = Authority::new("root");
    let identity = root.issue(&["localhost"]);
    let result = over(identity.old_server(), json!({"ca": root.pem()})).await;
    result.assert_ok();
    assert_eq!(result.fact("tls_version"), "TLS 1.2");
    assert!(result.fact("tls_cipher").starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", result.fact("tls_cipher"));
    let result = over(identity.old_server(), json!({"ca": root.pem(), "min_version": "1.3"})).await;
    let detail = result.assert_failed(Reason::Tls, Blame::Target);
    assert!(detail.contains("protocol_version: no TLS version in common"), "{detail}");
}

#[tokio::test]
async fn keys_of_other_kinds_are_verified_too() {
    let root = Authority::new("root");
    for algorithm in [&rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256] {
        let identity = root.issue_with(&["localhost"], algorithm, |_| {});
        over(identity.server(&[]), json!({"ca": root.pem()})).await.assert_ok();
    }
}

/// A bad certificate, the word for what is wrong with it, and a part of the sentence.
fn bad(root: &Authority) -> Vec<(&'static str, Identity, &'static str)> {
    let with = |names: &[&str], change: fn(&mut rcgen::CertificateParams)| {
        root.issue_with(names, &rcgen::PKCS_ECDSA_P256_SHA256, change)
    };
    let expired = with(&["localhost"], |params| params.not_after = date_time_ymd(2021, 1, 1));
    let early = with(&["localhost"], |params| params.not_before = date_time_ymd(2090, 1, 1));
    vec![
        ("expired", expired, "days ago, on 2021-01-01T00:00:00Z"),
        ("not_yet_valid", early, "is not valid before 2090-01-01T00:00:00Z"),
        ("wrong_host", root.issue(&["other.test", "192.0.2.1"]), "is for other.test,192.0.2.1, not for"),
        ("wrong_host", root.issue(&[]), "is for no name at all, not for"),
        ("self_signed", Identity::self_signed(&["localhost"]), "is self-signed by CN=leaf"),
        ("self_signed", Identity::self_signed_authority(&["localhost"]), "is self-signed by CN=leaf"),
        ("unknown_issuer", Authority::new("stranger").issue(&["localhost"]), "is not trusted: CN=stranger"),
        // The server forgets to send what stands between the root and its certificate.
        ("unknown_issuer", root.intermediate("middle").issue(&["localhost"]), "a missing intermediate looks the same"),
    ]
}

#[tokio::test]
async fn each_problem_of_a_certificate_is_told_apart_and_its_facts_are_kept() {
    let root = Authority::new("root");
    for (word, identity, part) in bad(&root) {
        let result = over(identity.server(&[]), json!({"ca": root.pem()})).await;
        let detail = result.assert_failed(Reason::Tls, Blame::Target);
        assert!(detail.contains(part), "{word}: {detail}");
        assert_eq!(result.fact("certificate_problem"), word);
        assert_eq!(result.fact("tls_version"), "TLS 1.3", "{word}");
        assert_eq!(result.fact("certificate_subject"), "CN=leaf", "{word}");
        assert!(result.findings.measure("certificate_expiry").is_some(), "{word}");
        assert_eq!(result.phases(), ["resolve", "connect", "tls"], "{word}: nothing was requested");
    }
}

#[tokio::test]
async fn without_verifying_a_bad_certificate_passes_and_its_problem_is_recorded() {
    let root = Authority::new("root");
    for (word, identity, _) in bad(&root) {
        let result = over(identity.server(&[]), json!({"ca": root.pem(), "verify": false})).await;
        result.assert_ok();
        assert_eq!(result.fact("certificate_problem"), word);
    }
}

#[tokio::test]
async fn a_peer_that_is_refused_never_sees_the_request() {
    let peer = Peer::secure_site(Identity::self_signed(&["localhost"]).server(&[]), |_| ok("")).await;
    probe(json!({"url": peer.secure_url("/?token=1")})).await.assert_failed(Reason::Tls, Blame::Target);
    peer.ended(1).await;
    assert_eq!(peer.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn an_intermediate_that_is_sent_completes_the_chain() {
    let root = Authority::new("root");
    let middle = root.intermediate("middle");
    let mut identity = middle.issue(&["localhost"]);
    identity.chain.push(middle.certificate());
    over(identity.server(&[]), json!({"ca": root.pem()})).await.assert_ok();
}

#[tokio::test]
async fn a_chain_expires_with_its_first_certificate() {
    let root = Authority::new("root");
    let mut identity = root.issue(&["localhost"]);
    let short = root.issue_with(&["other"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_after = date_time_ymd(2090, 1, 1);
    });
    identity.chain.extend(short.chain);
    let result = over(identity.server(&[]), json!({"ca": root.pem()})).await;
    result.assert_ok();
    assert_eq!(result.findings.measure("certificate_expiry"), Some(3_786_912_000.0));
    assert_eq!(result.fact("certificate_not_after"), "2100-01-01T00:00:00Z", "the leaf's own");
}

#[tokio::test]
async fn a_certificate_named_as_ca_is_trusted_as_it_stands_for_its_names_only() {
    for identity in [Identity::self_signed(&["localhost"]), Identity::self_signed_authority(&["localhost"])] {
        over(identity.server(&[]), json!({"ca": identity.pem()})).await.assert_ok();
        let tls = json!({"ca": identity.pem(), "server_name": "other.test"});
        let result = over(identity.server(&[]), tls).await;
        result.assert_failed(Reason::Tls, Blame::Target);
        assert_eq!(result.fact("certificate_problem"), "wrong_host");
    }
}

#[tokio::test]
async fn the_systems_roots_do_not_trust_a_private_authority() {
    let root = Authority::new("root");
    let result = over(root.issue(&["localhost"]).server(&[]), json!({})).await;
    result.assert_failed(Reason::Tls, Blame::Target);
    assert_eq!(result.fact("certificate_problem"), "unknown_issuer");
}

#[tokio::test]
async fn another_server_name_can_be_asked_for() {
    let root = Authority::new("root");
    let config = root.issue(&["pika.test"]).server(&[]);
    over(config.clone(), json!({"ca": root.pem(), "server_name": "pika.test"})).await.assert_ok();
    over(config, json!({"ca": root.pem()})).await.assert_failed(Reason::Tls, Blame::Target);
}

#[tokio::test]
async fn an_address_is_checked_against_the_certificate_too() {
    let root = Authority::new("root");
    let peer = Peer::secure_site(root.issue(&["127.0.0.1"]).server(&[]), |_| ok("")).await;
    probe(json!({"url": format!("https://{}/", peer.address), "tls": {"ca": root.pem()}})).await.assert_ok();
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_peer_that_asks() {
    let (root, clients) = (Authority::new("root"), Authority::new("clients"));
    let client = clients.issue(&["probe"]);
    let stranger = Authority::new("strangers").issue(&["probe"]);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = || root.issue(&["localhost"]).mutual_server(&clients, version);
        let tls = |own: &Identity| json!({"ca": root.pem(), "cert": own.pem(), "key": own.key_pem()});
        over(config(), tls(&client)).await.assert_ok();
        // With TLS 1.3 the client learns only after its handshake that it was refused.
        let result = over(config(), tls(&stranger)).await;
        let detail = result.assert_failed(Reason::Tls, Blame::Target);
        assert!(detail.contains("refused with the alert "), "{detail}");
    }
    let result =
        over(root.issue(&["localhost"]).mutual_server(&clients, &rustls::version::TLS13), json!({"ca": root.pem()}))
            .await;
    let detail = result.assert_failed(Reason::Tls, Blame::Target);
    assert!(detail.contains("certificate_required: it wants a client certificate; give tls.cert"), "{detail}");
}

#[tokio::test]
async fn a_client_certificate_is_not_shown_to_an_impostor() {
    let (root, clients) = (Authority::new("root"), Authority::new("clients"));
    let (client, impostor) = (clients.issue(&["probe"]), Authority::new("root").issue(&["localhost"]));
    let result = over(
        impostor.mutual_server(&clients, &rustls::version::TLS12),
        json!({"ca": root.pem(), "cert": client.pem(), "key": client.key_pem()}),
    )
    .await;
    result.assert_failed(Reason::Tls, Blame::Target);
    assert!(["unknown_issuer", "invalid"].contains(&result.fact("certificate_problem")));
    assert_eq!(result.fact("tls_version"), "", "the handshake was broken off");
    assert_eq!(result.fact("certificate_subject"), "CN=leaf");
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_the_settings_fault() {
    let (root, clients) = (Authority::new("root"), Authority::new("clients"));
    let (one, other) = (clients.issue(&["one"]), clients.issue(&["other"]));
    let tls = json!({"ca": root.pem(), "cert": one.pem(), "key": other.key_pem()});
    let result = over(root.issue(&["localhost"]).server(&[]), tls).await;
    let detail = result.assert_failed(Reason::Config, Blame::Agent);
    assert!(detail.starts_with("tls.cert and tls.key cannot be used"), "{detail}");
}

#[tokio::test]
async fn after_a_redirect_only_the_last_certificate_is_told() {
    let root = Authority::new("root");
    let plain = Peer::site(|_| ok("")).await;
    let location = plain.url("/");
    let peer = Peer::secure_site(root.issue(&["localhost"]).server(&[]), move |request| match path(request) {
        "/" => answer("302 Found", &[("location", location.as_str())], ""),
        _ => ok(""),
    })
    .await;
    let result = probe(json!({"url": peer.secure_url("/"), "tls": {"ca": root.pem()}})).await;
    result.assert_ok();
    assert!(result.phases().contains(&"tls"));
    assert_eq!(result.fact("tls_version"), "");
    assert_eq!(result.fact("certificate_subject"), "");
    assert_eq!(result.findings.measure("certificate_expiry"), None);
    assert_eq!(result.findings.measure("https"), Some(0.0));
}
