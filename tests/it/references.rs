//! What is generated for readers, and what is shipped for them to use: every page, every YAML, every README command.
//!
//! `UPDATE=1 cargo test` rewrites the generated files; read the diff, it is what users will see.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use forewarn::config::load::Sources;
use forewarn::config::plan::Plan;
use forewarn::config::{reference, render, schema};
use forewarn::{metrics, model, probe};

use crate::golden::compare;
use crate::tidy::files;

#[test]
fn the_references_are_those_that_are_kept() {
    compare("probes/schema.json", &format!("{:#}\n", schema::schema()));
    compare(".github/docs/reference/configuration.md", &reference::reference());
    compare(".github/docs/reference/metrics.md", &metrics::reference(&probe::kinds()).unwrap());
    let reasons = format!("# Reasons\n\n{REASONS}\n\n{}", model::reason::reference());
    compare(".github/docs/reference/reasons.md", &reasons);
}

#[test]
fn the_readme_lists_every_probe_type() {
    let readme = text("README.md");
    let (before, rest) = readme.split_once(START).expect("README.md has lost its mark for the table of probe types");
    let (_, after) = rest.split_once(END).expect("README.md has lost the end mark of its table of probe types");
    let rows = probe::kinds()
        .into_iter()
        .map(|kind| format!("| [`{0}`](probes/examples/{0}.yml) | {1} |\n", kind.name, kind.about));
    let table: String = ["\n| type | does |\n|---|---|\n".to_owned()].into_iter().chain(rows).collect();
    compare("README.md", &format!("{before}{START}{table}{END}{after}"));
}

#[test]
fn every_shipped_definition_checks_out() {
    let found = yaml_below("probes");
    for path in &found {
        let plan = Plan::read(Sources::read(std::slice::from_ref(path)), &|name| Some(format!("value-of-{name}")));
        let plan = plan.unwrap_or_else(|problems| panic!("{}", render::text(&problems, render::Colour::Never)));
        assert!(plan.warnings.sorted().is_empty(), "{}", render::text(&plan.warnings, render::Colour::Never));
    }
    let examples: BTreeSet<_> = probe::kinds().into_iter().map(|kind| format!("{}.yml", kind.name)).collect();
    let shipped = yaml_below("probes/examples");
    let shipped: BTreeSet<_> =
        shipped.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(shipped, examples, "each probe type has its example, probes/examples/<type>.yml, and no other is there");
    let all = Plan::read(Sources::read(&[root().join("probes")]), &|_| None);
    assert!(all.is_ok(), "`forewarn check probes` must be fine as the repository is cloned");
}

/// A YAML block with `probes:` in it is a whole configuration, unless it shows that something is left out (`…`).
#[test]
fn every_definition_in_the_docs_checks_out() {
    let mut checked = 0;
    for page in pages() {
        for block in blocks(&text(&page), "yaml").filter(|block| block.contains("probes:") && !block.contains('…')) {
            let folder = tempfile::tempdir().unwrap();
            let plan =
                Plan::read(Sources::texts([(page.as_str(), block.as_str())], folder.path()), &|_| Some("x".to_owned()));
            if let Err(problems) = plan {
                panic!("{page}:\n{block}\n{}", render::text(&problems, render::Colour::Never));
            }
            checked += 1;
        }
    }
    assert!(checked >= 3, "found only {checked} definitions in the docs");
}

/// Every `forewarn …` and `tests/run` in a shell block of the docs names a command and flags that exist.
#[test]
fn every_command_in_the_docs_exists() {
    let command = forewarn::cli::command();
    let mut checked = 0;
    for page in pages() {
        for line in blocks(&text(&page), "sh").flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()) {
            let line = line.split(" #").next().unwrap_or_default().trim().trim_start_matches("$ ").to_owned();
            let arguments = line.split_once("forewarn ").or_else(|| line.split_once("cargo run --release -- "));
            let Some((_, arguments)) = arguments else { continue };
            let arguments = arguments.split(" |").next().unwrap_or_default().split_whitespace();
            let parsed = command.clone().try_get_matches_from(std::iter::once("forewarn").chain(arguments));
            assert!(parsed.is_ok(), "{page}: `{line}`: {}", parsed.unwrap_err());
            checked += 1;
        }
    }
    assert!(checked >= 5, "found only {checked} commands in the docs");
}

#[test]
fn every_link_in_the_docs_leads_somewhere() {
    let mut checked = 0;
    for page in pages() {
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in text(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next().map(str::to_owned)) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(folder.join(target).exists(), "{page} links to {link}, which is not there");
            checked += 1;
        }
    }
    assert!(checked >= 15, "found only {checked} links in the docs");
}

#[test]
fn the_command_line_is_sound() {
    forewarn::cli::command().debug_assert();
    assert!(forewarn::cli::command().get_subcommands().all(|command| command.get_about().is_some()));
}

/// The fenced blocks of a language in a page.
fn blocks(page: &str, language: &str) -> impl Iterator<Item = String> {
    let fence = format!("```{language}\n");
    let blocks: Vec<_> =
        page.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default().to_owned()).collect();
    blocks.into_iter()
}

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), ".github/CONTRIBUTING.md".to_owned()];
    for entry in fs::read_dir(root().join(".github/docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            pages.push(format!(".github/docs/{name}"));
        }
    }
    assert!(pages.len() >= 6, "found only {} pages", pages.len());
    pages.sort();
    pages
}

fn yaml_below(folder: &str) -> Vec<PathBuf> {
    let found = [files(folder, "yml"), files(folder, "yaml")].concat();
    assert!(!found.is_empty(), "found no YAML below {folder}");
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "the project's own files are no bytes from outside")]
fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

const START: &str = "<!-- probe types: written by `UPDATE=1 cargo test` -->";
const END: &str = "<!-- end of probe types -->";
const REASONS: &str = "Every failed or degraded attempt has one of these, as the label `reason` of `forewarn_probe_failures_total` and in every \
result. The set is closed: a dashboard or an alert that names them all misses none. `blame` says whom the outcome says something about: the \
`target`, the `path` to it, or the `agent` itself. What is blamed on the agent never counts against the target.";
