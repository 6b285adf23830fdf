//! The command line: exit codes, what goes to which stream, and how it looks where no terminal is.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::peer::Peer;
use super::{Folder, forewarn, patient};

/// What a command says and how it ends, run in `folder`.
async fn run(folder: &Path, arguments: &[&str]) -> Said {
    run_with(folder, arguments, &[]).await
}

/// The same with variables in its environment.
async fn run_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let output = forewarn(folder).args(arguments).envs(variables.iter().copied()).output();
    Said::new(arguments, patient(&arguments.join(" "), output).await.unwrap())
}

/// What a command said.
struct Said {
    command: String,
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn new(arguments: &[&str], output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what people read is UTF-8");
        let (out, err) = (text(output.stdout), text(output.stderr));
        Self { command: arguments.join(" "), code: output.status.code(), out, err }
    }

    fn assert_code(&self, code: i32) -> &Self {
        let Self { command, out, err, .. } = self;
        assert_eq!(self.code, Some(code), "`{command}` said\n{out}\n{err}");
        self
    }

    /// Standard output begins so, and standard error is empty.
    fn assert_out(&self, text: &str) {
        let Self { command, out, err, .. } = self;
        assert!(out.starts_with(text) && err.is_empty(), "`{command}` said\n{out}\nand to standard error\n{err}");
    }

    /// Standard error has this, and standard output is empty.
    fn assert_err(&self, text: &str) {
        let Self { command, out, err, .. } = self;
        assert!(err.contains(text) && out.is_empty(), "`{command}` said\n{out}\nand to standard error\n{err}");
    }
}

/// A probe for each outcome: `fine`, `late` (degraded) and `wrong` (failed).
async fn three_outcomes() -> (Folder, Peer) {
    let peer = Peer::start().await;
    let url = peer.url("/");
    let text = format!(
        "agent: {{region: eu-west-1}}
probes:
  - {{name: fine, surface: pika/web, http: {{url: \"{url}\"}}}}
  - {{name: late, surface: pika/web, http: {{url: \"{url}\", warn: {{body: {{contains: Publish}}}}}}}}
  - {{name: wrong, surface: pika/library, http: {{url: \"{url}\", expect: {{status: 404}}}}}}
"
    );
    (Folder::new(&text), peer)
}

const BAD: &str = "probes:\n  - {name: a, surface: b/c, evry: 5s, http: {url: \"http://d/\"}}\n";

#[tokio::test]
async fn exit_codes_tell_fine_from_failed_from_misused() {
    let (good, _peer) = three_outcomes().await;
    let (bad, empty) = (Folder::new(BAD), tempfile::tempdir().unwrap());
    for (folder, arguments, code) in [
        (good.path(), &["check"][..], 0),
        (good.path(), &["probe", "fine"], 0),
        (good.path(), &["probe", "late"], 0),
        (good.path(), &["probe", "wrong"], 1),
        (good.path(), &["probe", "wrong", "--json"], 1),
        (good.path(), &["probe", "nobody"], 2),
        (good.path(), &["check", "missing.yml"], 2),
        (bad.path(), &["check"], 2),
        (bad.path(), &["check", "--format", "json"], 2),
        (bad.path(), &["probe", "a"], 2),
        (bad.path(), &["run", "--listen", "127.0.0.1:0"], 2),
        (empty.path(), &["check"], 2),
        (empty.path(), &["run", "--listen", "127.0.0.1:0"], 2),
        (empty.path(), &["schema"], 0),
        (empty.path(), &["completions", "bash"], 0),
        (empty.path(), &["--version"], 0),
        (empty.path(), &["--help"], 0),
        (empty.path(), &["probe"], 2),
        (empty.path(), &["chekc"], 2),
        (empty.path(), &["run", "--listen", "nowhere"], 2),
        (empty.path(), &[], 2),
    ] {
        run(folder, arguments).await.assert_code(code);
    }
}

#[tokio::test]
async fn an_attempt_is_one_object_of_json() {
    let (folder, _peer) = three_outcomes().await;
    for (probe, outcome, reason) in
        [("fine", "ok", None), ("late", "degraded", Some("assertion")), ("wrong", "failed", Some("http_status"))]
    {
        let said = run(folder.path(), &["probe", probe, "--json"]).await;
        said.assert_out("{");
        assert_eq!(said.out.lines().count(), 1);
        let result: Value = serde_json::from_str(&said.out).unwrap();
        let keys: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
        let promised = [
            "probe",
            "service",
            "surface",
            "region",
            "scheduled_at",
            "started_at",
            "took",
            "outcome",
            "failure",
            "phases",
            "measures",
            "facts",
            "steps",
        ];
        assert_eq!(keys, promised);
        assert_eq!((&result["probe"], &result["outcome"]), (&probe.into(), &outcome.into()));
        assert_eq!((&result["service"], &result["region"]), (&"pika".into(), &"eu-west-1".into()));
        match reason {
            None => assert!(result["failure"].is_null()),
            Some(reason) => {
                let failure = result["failure"].as_object().unwrap();
                assert_eq!(failure.keys().collect::<Vec<_>>(), ["reason", "blame", "detail"]);
                assert_eq!((&failure["reason"], &failure["blame"]), (&reason.into(), &"target".into()));
            }
        }
        assert!(result["took"].as_f64().is_some_and(|took| took > 0.0));
        assert!(result["phases"]["connect"].as_f64().is_some_and(|took| took > 0.0), "{result}");
        assert!(result["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        let step = result["steps"][0].as_object().unwrap();
        assert_eq!(step.keys().collect::<Vec<_>>(), ["name", "at", "took", "detail"]);
    }
}

#[tokio::test]
async fn a_person_reads_what_happened() {
    let (folder, _peer) = three_outcomes().await;
    let said = run(folder.path(), &["probe", "wrong"]).await;
    said.assert_out("wrong http pika/library from eu-west-1\n✗ failed in ");
    assert!(said.out.contains("\n  http_status (target) expected status 404, got 200 OK\n"), "{}", said.out);
    for part in ["  connect ", "  processing ", "█", "  status "] {
        assert!(said.out.contains(part), "{part} is missing:\n{}", said.out);
    }
}

#[tokio::test]
async fn colours_are_for_terminals_unless_asked_for() {
    let (folder, _peer) = three_outcomes().await;
    let bad = Folder::new(BAD);
    for (folder, arguments) in
        [(folder.path(), &["probe", "wrong"][..]), (bad.path(), &["check"]), (bad.path(), &["run"])]
    {
        let coloured = async |more: &[&str], variables: &[(&str, &str)]| {
            let said = run_with(folder, &[arguments, more].concat(), variables).await;
            assert!(!said.out.is_empty() || !said.err.is_empty());
            (said.out + &said.err).contains('\u{1b}')
        };
        assert!(!coloured(&[], &[]).await, "a pipe is no terminal");
        assert!(coloured(&["--color", "always"], &[]).await);
        assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]).await, "the flag was given by hand");
        assert!(coloured(&[], &[("FOREWARN_COLOR", "always")]).await);
        assert!(coloured(&[], &[("CLICOLOR_FORCE", "1")]).await);
        assert!(!coloured(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).await);
        assert!(!coloured(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]).await);
    }
}

#[tokio::test]
async fn a_check_says_what_is_wrong_where() {
    let (good, _peer) = three_outcomes().await;
    run(good.path(), &["check"]).await.assert_out("fine: 3 probes on 2 surfaces of 1 service\n");
    let said = run(good.path(), &["check", "--format", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap()["problems"], serde_json::json!([]));

    let bad = Folder::new(BAD);
    let said = run(bad.path(), &["check"]).await;
    said.assert_err("error: unknown key `evry`\n --> forewarn.yml:2:29\n");
    said.assert_err("did you mean `every`?");
    let said = run(bad.path(), &["check", "--format", "json"]).await;
    assert!(said.err.is_empty(), "{}", said.err);
    let problem = serde_json::from_str::<Value>(&said.out).unwrap()["problems"][0].clone();
    assert_eq!(
        (&problem["file"], &problem["line"], &problem["column"]),
        (&"forewarn.yml".into(), &2.into(), &29.into())
    );
}

#[tokio::test]
async fn an_agent_that_cannot_start_says_so_in_its_log_format() {
    let bad = Folder::new(BAD);
    let said = run(bad.path(), &["run", "--listen", "127.0.0.1:0", "--log-format", "json"]).await;
    said.assert_code(2);
    for line in said.err.lines() {
        let entry: Value = serde_json::from_str(line).expect("each line is JSON");
        assert_eq!((&entry["level"], &entry["at"]), (&"ERROR".into(), &"forewarn.yml:2:29".into()), "{entry}");
    }
}

#[tokio::test]
async fn without_a_path_forewarn_yml_counts_and_else_the_folder_probes() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["check"]).await.assert_err("neither `forewarn.yml` nor `probes/` is in this folder");
    let probe = |name: &str| format!("probes: [{{name: {name}, surface: b/c, http: {{url: \"http://d/\"}}}}]\n");
    std::fs::create_dir(folder.path().join("probes")).unwrap();
    for name in ["a", "b"] {
        std::fs::write(folder.path().join(format!("probes/{name}.yml")), probe(name)).unwrap();
    }
    run(folder.path(), &["check"]).await.assert_out("fine: 2 probes ");
    std::fs::write(folder.path().join("forewarn.yml"), probe("c")).unwrap();
    run(folder.path(), &["check"]).await.assert_out("fine: 1 probe ");
    run(folder.path(), &["check", "probes", "forewarn.yml"]).await.assert_out("fine: 3 probes ");
}

#[tokio::test]
async fn an_address_in_use_is_named_with_a_remedy() {
    let (folder, _peer) = three_outcomes().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for arguments in [
        &["run", "--listen", &address][..],
        &["demo", "--listen", &address, "--service", "127.0.0.1:0"],
        &["demo", "--listen", "127.0.0.1:0", "--service", &address],
    ] {
        let said = run(folder.path(), arguments).await;
        said.assert_code(1).assert_err(&format!("error: cannot listen on {address}: "));
        said.assert_err("help: another program listens there");
        let flag = arguments[arguments.iter().position(|argument| *argument == address).unwrap() - 1];
        said.assert_err(&format!("choose another address with {flag}"));
    }
}

#[tokio::test]
async fn a_misspelt_probe_is_understood() {
    let (folder, _peer) = three_outcomes().await;
    run(folder.path(), &["probe", "fien"]).await.assert_err("there is no probe `fien`; did you mean `fine`?");
    run(folder.path(), &["probe", "xyz"]).await.assert_err("there are: fine, late, wrong");
    run(folder.path(), &["probe", "\u{1b}[2J"]).await.assert_err("\\u{1b}[2J");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_panic() {
    let (folder, _peer) = three_outcomes().await;
    for arguments in [&["schema"][..], &["completions", "zsh"], &["--help"], &["check"], &["probe", "fine"]] {
        let mut command = forewarn(folder.path());
        let mut child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = patient("it ends", child.wait_with_output()).await.unwrap();
        let said = Said::new(arguments, output);
        assert!(said.code.is_some_and(|code| code != 101), "{:?}", said.code);
        assert_eq!(said.err, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn every_command_explains_itself_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).await;
    help.assert_out("Synthetic-probe monitoring");
    let commands = help.out.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let said = run(folder.path(), &[command, "--help"]).await;
        said.assert_code(0).assert_out("");
        assert!(said.out.contains(&format!("\n  forewarn {command}")), "{command} has no example:\n{}", said.out);
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "too wide:\n{}", said.out);
    }
}

#[tokio::test]
async fn completions_are_scripts_of_their_shells() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(folder.path(), &["completions", shell]).await;
        said.assert_code(0);
        assert!(said.out.contains("forewarn") && said.out.contains("log-format"), "{}", said.out);
        let path = folder.path().join(shell);
        std::fs::write(&path, &said.out).unwrap();
        // Bash is on every machine that builds this; the others are asked where they are installed.
        if shell == "bash" || Path::new("/usr/bin").join(shell).exists() && shell != "powershell" {
            let flag = if shell == "elvish" { "-compileonly" } else { "-n" };
            let output = tokio::process::Command::new(shell).arg(flag).arg(&path).output().await.unwrap();
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[tokio::test]
async fn the_schema_is_json_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(folder.path(), &["schema"]).await;
    said.assert_out("{");
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert!(schema["properties"]["probes"].is_object(), "{schema}");
}
