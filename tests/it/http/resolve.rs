//! Name lookup: who is asked, what is taken, and whose fault it is when nothing comes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use serde_json::{Value, json};

use crate::peers::dns::{Dns, Says};
use crate::peers::probing::{Inspect, attempt, attempt_within, probe, prober};
use crate::peers::tcp::{Peer, ok};

/// Settings that ask this server for a name and go to this peer; `more` says more of `resolve`.
fn settings(dns: &Dns, peer: &Peer, mut more: Value) -> Value {
    more["server"] = json!([dns.address.to_string()]);
    json!({"url": format!("http://pika.test:{}/", peer.address.port()), "resolve": more})
}

async fn asking(says: Says, more: Value) -> ProbeResult {
    let (peer, dns) = (Peer::site(|_| ok("")).await, Dns::saying(says).await);
    probe(settings(&dns, &peer, more)).await
}

#[tokio::test]
async fn the_name_servers_answer_is_used_and_asked_for_each_time() {
    let (peer, dns) = (Peer::site(|_| ok("")).await, Dns::pointing_to(Ipv4Addr::LOCALHOST).await);
    let prober = prober(settings(&dns, &peer, json!({"family": "ipv4"})));
    for attempts in 1..=3 {
        let result = attempt(&*prober).await;
        result.assert_ok();
        assert_eq!(dns.questions(), attempts, "nothing is remembered");
        assert_eq!(result.steps("resolve"), ["127.0.0.1"]);
    }
    assert_eq!(peer.requests()[0].lines().nth(1), Some(&*format!("host: pika.test:{}", peer.address.port())));
}

#[tokio::test]
async fn of_several_addresses_one_of_the_family_is_used() {
    let both = || Says::Addresses(vec![Ipv4Addr::LOCALHOST], vec![Ipv6Addr::LOCALHOST]);
    let result = asking(both(), json!({"family": "ipv4"})).await;
    result.assert_ok();
    assert_eq!(result.findings.measure("ip_protocol"), Some(4.0));
    // The peer listens on IPv4 only: had the other family been tried in secret, this would pass.
    let result = asking(both(), json!({"family": "ipv6"})).await;
    assert_eq!(result.findings.measure("ip_protocol"), Some(6.0));
    assert!([Reason::Connect, Reason::Agent].contains(&result.failed().reason), "{:?}", result.outcome);
    let several = Says::Addresses(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)], vec![]);
    let result = asking(several, json!({})).await;
    assert!(result.steps("resolve")[0].ends_with(" (1 of 2 addresses)"), "{:?}", result.findings.steps);
}

#[tokio::test]
async fn a_name_without_an_address_of_the_family_is_the_targets_fault() {
    let v4_only = Says::Addresses(vec![Ipv4Addr::LOCALHOST], vec![]);
    let result = asking(v4_only, json!({"family": "ipv6"})).await;
    assert_eq!(result.assert_failed(Reason::Dns, Blame::Target), "`pika.test` exists and has no IPv6 address");
    let result = asking(Says::Addresses(vec![], vec![]), json!({})).await;
    assert_eq!(result.assert_failed(Reason::Dns, Blame::Target), "`pika.test` exists and has no IP address");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_the_targets_fault() {
    let result = asking(Says::Code(3), json!({})).await;
    assert_eq!(result.assert_failed(Reason::Dns, Blame::Target), "`pika.test` does not exist (NXDOMAIN)");
    assert_eq!(result.phases(), ["resolve"]);
}

#[tokio::test]
async fn a_resolver_that_fails_or_refuses_is_on_the_path() {
    for (code, name) in [(2, "Server Failure"), (5, "Query Refused")] {
        let result = asking(Says::Code(code), json!({})).await;
        let detail = result.assert_failed(Reason::Dns, Blame::Path);
        assert!(detail.contains(name), "{detail}");
    }
}

#[tokio::test]
async fn a_resolver_that_says_nothing_is_told_before_the_usual_timeout() {
    let result = asking(Says::Nothing, json!({})).await;
    assert_eq!(result.assert_failed(Reason::Dns, Blame::Path), "no resolver answered for `pika.test`");
    assert!(result.took < Duration::from_secs(9), "{:?}", result.took);
}

#[tokio::test]
async fn a_timeout_while_resolving_does_not_blame_the_target() {
    let (peer, dns) = (Peer::site(|_| ok("")).await, Dns::saying(Says::Nothing).await);
    let prober = prober(settings(&dns, &peer, json!({})));
    let result = attempt_within(&*prober, Duration::from_millis(200)).await;
    let detail = result.assert_failed(Reason::Timeout, Blame::Path);
    assert!(detail.starts_with("not done within 200ms: stopped in phase resolve"), "{detail}");
}

#[tokio::test]
async fn a_resolver_that_talks_nonsense_is_on_the_path() {
    for bytes in [vec![], vec![0xff; 300], vec![0x81, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xc0, 0x0c]] {
        let result = asking(Says::Garbage(bytes), json!({})).await;
        result.assert_failed(Reason::Dns, Blame::Path);
    }
}

#[tokio::test]
async fn a_pinned_address_needs_no_lookup_and_keeps_the_name() {
    let peer = Peer::site(|_| ok("")).await;
    let dns = Dns::saying(Says::Nothing).await;
    let result = probe(settings(&dns, &peer, json!({"pin": "127.0.0.1"}))).await;
    result.assert_ok();
    assert_eq!(result.phases(), ["connect", "processing", "transfer"]);
    assert_eq!(dns.questions(), 0);
    assert!(peer.request().contains(&format!("\r\nhost: pika.test:{}\r\n", peer.address.port())));
}

#[tokio::test]
async fn an_address_of_the_wrong_family_is_the_settings_fault() {
    let peer = Peer::site(|_| ok("")).await;
    let result = probe(json!({"url": peer.url("/"), "resolve": {"family": "ipv6"}})).await;
    let detail = result.assert_failed(Reason::Config, Blame::Agent);
    assert_eq!(detail, "127.0.0.1 is not an IPv6 address, which is what resolve.family asks for");
}

#[tokio::test]
async fn the_system_can_be_asked_instead() {
    let peer = Peer::site(|_| ok("")).await;
    let url = format!("http://localhost:{}/", peer.address.port());
    let result = probe(json!({"url": url, "resolve": {"via": "system", "family": "ipv4"}})).await;
    result.assert_ok();
    assert_eq!(result.phases(), ["resolve", "connect", "processing", "transfer"]);
}
