//! The configuration reader as its users meet it: exact messages for what is wrong, plans for what is right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forewarn::config::load::Sources;
use forewarn::config::plan::{Plan, PlannedProbe};
use forewarn::config::problem::Problems;
use forewarn::config::{self, render};
use forewarn::probe::Spec;
use forewarn::schedule::cadence::When;
use forewarn::schedule::settings::Overlap;

use crate::golden::compare;

/// A value that no message may show.
const SECRET: &str = "hunter2";

fn variables(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some(SECRET.to_owned()),
        "LONG_SECRET" => Some(SECRET.repeat(40)),
        "EVERY" => Some("45s".to_owned()),
        "REDIRECTS" => Some("3".to_owned()),
        "TOKEN" => Some("t0ken".to_owned()),
        _ => None,
    }
}

fn read(texts: &[(&str, &str)]) -> Result<Plan, Problems> {
    Plan::read(Sources::texts(texts.iter().copied(), Path::new(".")), &variables)
}

fn good(text: &str) -> Plan {
    read(&[("forewarn.yml", text)]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Every bad configuration gives exactly the text beside it, and never a value from outside.
#[test]
fn bad_configurations_say_what_is_wrong_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/bad_config");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let cases: BTreeSet<PathBuf> = entries.filter(|path| path.extension().is_none_or(|kind| kind == "yml")).collect();
    for case in &cases {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let problems = config::load(std::slice::from_ref(case), &variables).expect_err(name);
        let text = problems.to_string().replace(&format!("{}/", folder.display()), "");
        assert!(!text.contains(SECRET), "{name} shows a secret:\n{text}");
        assert!(!render::json(&problems).to_string().contains(SECRET), "{name} shows a secret in JSON");
        compare(&format!("tests/it/bad_config/{name}.txt"), &text);
    }
    assert!(cases.len() >= 110, "only {} cases were found", cases.len());
}

#[test]
fn three_lines_are_enough() {
    let plan = good("probes: [{name: my-site, surface: my-site/web, http: {url: https://example.org}}]");
    assert_eq!(
        (plan.agent.region.name().as_ref(), plan.agent.listen.0.to_string()),
        ("local", "127.0.0.1:9780".into())
    );
    let [service] = plan.services.as_slice() else { panic!("{:?}", plan.services) };
    assert_eq!((service.name.as_str(), service.title.as_str()), ("my-site", "my-site"));
    assert_eq!(service.surfaces[0].name.as_str(), "web");
    let [probe] = plan.probes.as_slice() else { panic!("{:?}", plan.probes) };
    assert_eq!((probe.name.as_str(), probe.surface.to_string()), ("my-site", "my-site/web".to_owned()));
    assert_eq!(probe.cadence.when, When::Every(Duration::from_secs(30)));
    assert_eq!(probe.cadence.timeout, Duration::from_secs(10));
    assert_eq!((probe.cadence.overlap, probe.cadence.confirm), (Overlap::Skip, None));
    assert_eq!(probe.origin.to_string(), "forewarn.yml:1");
    assert_eq!(plan.store.url.to_string(), "forewarn.db");
    assert!(plan.warnings.sorted().is_empty());
}

#[test]
fn files_merge_and_defaults_fill_in() {
    let plan = read(&[
        (
            "a.yml",
            "agent: {region: eu, labels: {env: prod, team: a}, grace: 3s, concurrency: 7}\n\
             defaults: {every: 1m, timeout: 5s, overlap: queue, confirm: {times: 2}, timezone: Europe/Berlin, labels: {team: b, x: d}}\n\
             services: [{name: s, title: Service, surfaces: [{name: web}, {name: api, title: API, depends_on: [web, t/db]}]}]\n\
             probes: [{name: a, surface: s/web, http: {url: https://example.org}}]\n",
        ),
        (
            "b.yml",
            "services: [{name: t, surfaces: [{name: db}]}]\n\
             store: {url: /var/lib/forewarn.db}\n\
             probes:\n\
             - {name: b, surface: t/db, cron: '*/5 * * * *', timeout: 2m, overlap: allow, labels: {x: own, shard: 5}, http: {url: https://example.org}}\n",
        ),
    ])
    .unwrap();
    assert_eq!(plan.store.url.to_string(), "/var/lib/forewarn.db");
    assert_eq!((plan.agent.grace.get(), plan.agent.concurrency), (Duration::from_secs(3), 7));
    assert_eq!(plan.services.iter().map(|service| service.title.as_str()).collect::<Vec<_>>(), ["Service", "t"]);
    let api = &plan.services[0].surfaces[1];
    assert_eq!(api.title, "API");
    assert_eq!(api.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>(), ["s/web", "t/db"]);
    let [a, b] = plan.probes.as_slice() else { panic!() };
    let labels =
        |probe: &PlannedProbe| probe.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
    assert_eq!(labels(a), "env=prod team=b x=d");
    assert_eq!(labels(b), "env=prod shard=5 team=b x=own");
    assert_eq!((&a.cadence.when, a.cadence.timeout), (&When::Every(Duration::from_secs(60)), Duration::from_secs(5)));
    assert_eq!((a.cadence.overlap, a.cadence.confirm.map(|confirm| confirm.times)), (Overlap::Queue, Some(2)));
    let When::Cron { zone, .. } = &b.cadence.when else { panic!("{:?}", b.cadence.when) };
    assert_eq!(zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!((b.cadence.timeout, b.cadence.overlap), (Duration::from_secs(120), Overlap::Allow));
    assert_eq!(b.origin.to_string(), "b.yml:4");
}

#[test]
fn anchors_and_merge_keys_save_typing() {
    let plan = good(
        "x-slow: &slow {every: 5m, timeout: 1m}\n\
         x-site: &site {surface: s/web, http: &http {url: https://example.org}}\n\
         probes:\n\
         - {<<: [*slow, *site], name: a}\n\
         - {<<: *slow, name: b, every: 10m, surface: s/web, http: {<<: *http, max_redirects: 0}}\n",
    );
    let every: Vec<_> = plan.probes.iter().map(|probe| probe.cadence.when.clone()).collect();
    assert_eq!(every, [When::Every(Duration::from_secs(300)), When::Every(Duration::from_secs(600))]);
    let Spec::Http(http) = &plan.probes[1].spec else { panic!("an http probe") };
    assert_eq!((http.url.to_string(), http.max_redirects), ("https://example.org".to_owned(), 0));
}

#[test]
fn references_are_resolved_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body.txt"), "from a file\n").unwrap();
    let text = "probes:\n\
        - name: a\n  surface: s/web\n  every: ${env:EVERY}\n  http:\n    url: https://example.org/?k=${env:SECRET}\n    \
        max_redirects: ${env:REDIRECTS}\n    body: ${file:body.txt}\n    headers: {a: \"Key ${env:TOKEN}\", b: $${env:TOKEN}}\n"
        .replace("b: $${env:TOKEN}", "b: \"$${env:TOKEN}\"");
    let sources = Sources::texts([("a.yml", text.as_str())], folder.path());
    let plan = Plan::read(sources, &variables).unwrap_or_else(|problems| panic!("{problems}"));
    let Spec::Http(http) = &plan.probes[0].spec else { panic!("an http probe") };
    assert_eq!(plan.probes[0].cadence.when, When::Every(Duration::from_secs(45)));
    assert_eq!(http.max_redirects, 3);
    assert_eq!(http.url.url().query(), Some("k=hunter2"));
    assert_eq!(http.body.as_ref().unwrap().expose(), "from a file");
    let values: Vec<_> = http.headers.0.iter().map(|(_, value)| (value.expose(), value.shown())).collect();
    assert_eq!(values, [("Key t0ken", "Key ${env:TOKEN}"), ("${env:TOKEN}", "${env:TOKEN}")]);
    let shown = format!("{plan:?}");
    for hidden in [SECRET, "t0ken", "from a file"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[test]
fn line_ends_byte_order_marks_and_comments_do_not_matter() {
    let text = "# a comment\nprobes:\n  - name: a\n    surface: a/b\n    http:\n      url: https://example.org\n";
    let plain = good(text);
    assert_eq!(good(&text.replace('\n', "\r\n")).probes, plain.probes);
    assert_eq!(good(&format!("\u{feff}{text}")).probes, plain.probes);
    assert_eq!(good(&format!("---\n{text}...\n")).probes, plain.probes);
    assert_eq!(good(&format!("# moved\n{text}")).probes, plain.probes, "the place is no part of a probe");
}

#[test]
fn a_configuration_without_probes_is_a_warning() {
    for text in ["", "# nothing yet\n", "probes:\n", "probes: []\nagent:\n", "x-anything: {goes: [1]}\n"] {
        let plan = good(text);
        let messages: Vec<_> = plan.warnings.sorted().iter().map(|problem| problem.message.clone()).collect();
        assert_eq!(messages, ["no probe is configured"], "{text:?}");
    }
}

/// The size the contract names: ten thousand probes in about 3.5 MB. The release build reads it in well under a second.
fn many_probes(range: std::ops::Range<usize>) -> String {
    let probe = |index| {
        format!(
            r#"
  - name: probe-{index}
    surface: service-{service}/web
    every: 30s
    timeout: 10s
    labels: {{team: team-{team}, env: prod}}
    http:
      url: https://host-{index}.example.org/health?id={index}
      headers:
        accept: application/json
        authorization: Bearer ${{env:TOKEN}}
      expect:
        status: [2xx, 301]
        body: {{contains: "ok {index}"}}
        within: 5s
      warn: {{within: 1s}}"#,
            service = index % 100,
            team = index % 7,
        )
    };
    std::iter::once("probes:".to_owned()).chain(range.map(probe)).collect()
}

#[test]
fn ten_thousand_probes_in_one_file_and_in_a_hundred() {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.yml");
    std::fs::write(&one, many_probes(0..10_000)).unwrap();
    let several = folder.path().join("several");
    std::fs::create_dir(&several).unwrap();
    for file in 0..100 {
        std::fs::write(several.join(format!("{file:02}.yml")), many_probes(file * 100..(file + 1) * 100)).unwrap();
    }
    for path in [one, several] {
        let plan = config::load(&[path], &variables).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!((plan.probes.len(), plan.services.len()), (10_000, 100));
    }
}

#[test]
fn ten_thousand_mistakes_are_told_up_to_a_limit() {
    let text = many_probes(0..10_000).replace("timeout: 10s", "timeout: 10");
    let problems = read(&[("a.yml", &text)]).unwrap_err();
    assert_eq!((problems.sorted().len(), problems.errors()), (200, 10_000));
    assert!(problems.to_string().ends_with("\n… and 9800 more\n10000 errors\n"));
}

/// What is sensible for pages would pay for more jobs than were asked for.
#[test]
fn a_paid_probe_is_not_hurried_by_the_defaults() {
    let plan = good(
        "defaults: {every: 30s, timeout: 5s, confirm: {after: 2s, times: 3}, overlap: allow}
probes:
  - {name: page, surface: s/web, http: {url: https://a.test/}}
  - name: paid
    surface: s/generation
    generation:
      submit: {url: https://a.test/jobs}
      job: {id: $.id}
      poll: {url: \"https://a.test/jobs/{id}\"}
      state: {from: $.status, succeeded: done}
",
    );
    let [page, paid] = [&plan.probes[0].cadence, &plan.probes[1].cadence];
    assert!(page.confirm.is_some() && page.overlap == Overlap::Allow && page.first_look);
    assert_eq!((paid.confirm, paid.overlap, paid.first_look), (None, Overlap::Skip, false));
    assert_eq!((&paid.when, paid.timeout), (&When::Every(Duration::from_secs(900)), Duration::from_secs(600)));
}

#[test]
fn a_budget_that_binds_nobody_is_told_of() {
    let plan = good("agent: {budget: {EUR: 5}}\nprobes: [{name: page, surface: s/web, http: {url: https://a.test/}}]");
    let warnings = plan.warnings.to_string();
    assert!(warnings.contains("no probe spends `EUR`, so this limits nothing"), "{warnings}");
}
