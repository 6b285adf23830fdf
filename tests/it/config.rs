//! The configuration reader as its users meet it: exact messages for what is wrong, plans for what is right.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forewarn::config::load::Sources;
use forewarn::config::plan::{Plan, PlannedProbe};
use forewarn::config::problem::Problems;
use forewarn::config::{self, reference, render, schema};
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
fn the_generated_files_are_those_that_are_kept() {
    let schema = serde_json::to_string_pretty(&schema::schema()).unwrap() + "\n";
    compare("src/config/generated/forewarn.schema.json", &schema);
    compare("src/config/generated/reference.md", &reference::reference());
}
