//! A secret from `${env:…}` goes to the target and nowhere else, even at log level trace, even when the target echoes it.

use std::process::Stdio;

use super::peer::Peer;
use super::{Agent, Folder, forewarn, patient};

const SECRETS: [(&str, &str); 5] = [
    ("CANARY_BEARER", "s3cret-bearer-7f3a"),
    ("CANARY_HEADER", "s3cret-header-91c0"),
    ("CANARY_PASSWORD", "s3cret-password-4e5d"),
    ("CANARY_QUERY", "s3cret-query-b2a1"),
    ("CANARY_BODY", "s3cret-body-0c9d"),
];

/// Probes that send every secret to a peer that sends it back, over both versions of HTTP, and find fault with the answer.
fn configuration(peer: &Peer) -> String {
    let url = peer.url("/echo?token=${env:CANARY_QUERY}");
    format!(
        "defaults: {{every: 200ms, timeout: 5s}}
probes:
  - name: echo
    surface: pika/web
    http:
      url: \"{url}\"
      method: POST
      headers: {{x-key: \"Key ${{env:CANARY_HEADER}}\"}}
      auth: {{bearer: \"${{env:CANARY_BEARER}}\"}}
      form: {{password: \"${{env:CANARY_BODY}}\"}}
      expect: {{body: {{equals: \"nothing of the kind\"}}}}
  - name: basic
    surface: pika/web
    http:
      url: \"{url}\"
      auth: {{basic: {{username: ada, password: \"${{env:CANARY_PASSWORD}}\"}}}}
      expect: {{body: {{matches: \"^nothing of the kind\"}}}}
  - name: second-version
    surface: pika/web
    http:
      url: \"{url}\"
      version: http2
      headers: {{x-key: \"${{env:CANARY_HEADER}}\"}}
      auth: {{bearer: \"${{env:CANARY_BEARER}}\"}}
"
    )
}

/// Fails when any secret is in `text`, as it is or as basic authentication writes it.
fn assert_clean(what: &str, text: &str) {
    for secret in SECRETS.map(|(_, value)| value).into_iter().chain(["YWRhOnMzY3JldC1wYXNzd29yZC00ZTVk"]) {
        assert!(!text.contains(secret), "{what} tells {secret}:\n{text}");
    }
}

#[tokio::test]
async fn a_running_agent_tells_nobody() {
    let peer = Peer::start().await;
    let folder = Folder::new(&configuration(&peer));
    let agent = Agent::start_with(&folder, |command| {
        command.envs(SECRETS).args(["--log-level", "trace"]);
    })
    .await;
    for probe in ["echo", "basic", "second-version"] {
        let labels = [("probe", probe), ("outcome", "failed")];
        agent.metric("forewarn_probe_runs_total", &labels, |runs| runs >= 2.0).await;
    }
    assert_clean("/metrics", &agent.metrics().await.0);
    // What is wrong stands right beside the secrets.
    folder.write("forewarn.yml", &configuration(&peer).replace("bearer:", "bear:").replace("x-key:", "\"x key\":"));
    let (status, answer) = agent.reload().await;
    assert!(status.is_server_error() && answer.contains("bear"), "{answer}");
    assert_clean("the answer to a reload", &answer);
    agent.signal("TERM");
    let (_, log) = agent.end().await;
    assert!(log.iter().any(|line| line.contains("TRACE")), "the log is at trace: {log:#?}");
    assert_clean("the log", &log.join("\n"));

    let sent: String = peer.all().into_iter().map(|request| request.head).collect();
    for (name, secret) in SECRETS.iter().filter(|(name, _)| !matches!(*name, "CANARY_PASSWORD" | "CANARY_BODY")) {
        assert!(sent.contains(secret), "the target got {name}: {sent}");
    }
    assert!(sent.contains("YWRhOnMzY3JldC1wYXNzd29yZC00ZTVk"), "the target got the password: {sent}");
}

#[tokio::test]
async fn one_attempt_by_hand_tells_nobody() {
    let peer = Peer::start().await;
    let folder = Folder::new(&configuration(&peer));
    for probe in ["echo", "basic", "second-version"] {
        for format in [&["--json"][..], &[]] {
            let mut command = forewarn(folder.path());
            command.args(["probe", probe, "--log-level", "trace"]).args(format).envs(SECRETS).stderr(Stdio::piped());
            let output = patient(probe, command.output()).await.unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(!output.stdout.is_empty());
            assert_clean("standard output", &String::from_utf8(output.stdout).unwrap());
            assert_clean("standard error", &String::from_utf8(output.stderr).unwrap());
        }
    }
}
