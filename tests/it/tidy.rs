//! What lints cannot see: the floors, the opening lines, the size of files, and what stands at the top level.
//!
//! A rule here is a rule of the house (`.github/CONTRIBUTING.md`); the message says how to keep it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the floor it stands on. A module may name lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("cli", 5),
    ("app", 4),
    ("demo", 4),
    ("config", 3),
    ("probe", 2),
    ("schedule", 2),
    ("metrics", 2),
    ("store", 2),
    ("model", 1),
    ("base", 0),
];

#[test]
fn a_module_names_lower_floors_only() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for path in sources() {
        let Some(room) = room(&path) else { continue };
        let floor =
            floor_of(&room).unwrap_or_else(|| panic!("{room} stands on no floor; add it to FLOORS here and in lib.rs"));
        for (number, line) in text(&path).lines().enumerate() {
            for named in named_modules(line) {
                seen += 1;
                let Some(other) = floor_of(&named) else { continue };
                if named != room && other >= floor {
                    broken.push(format!(
                        "{}:{}: {room} (floor {floor}) names {named} (floor {other})",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(seen > 100, "found only {seen} `crate::` paths; does this test still see the code?");
    assert!(broken.is_empty(), "a module may name lower floors only:\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().chain(files("tests", "rs")).filter(|path| !text(path).starts_with("//!")).collect();
    assert!(silent.is_empty(), "every file opens with `//!`: what it is for, what it is not for: {silent:?}");
}

#[test]
fn no_file_is_longer_than_600_lines_without_its_tests() {
    for path in sources() {
        let text = text(&path);
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default().lines().count();
        assert!(code <= 600, "{} has {code} lines; split it by noun", path.display());
    }
}

#[test]
fn nothing_else_stands_at_the_top_level() {
    let allowed: BTreeSet<_> = [
        "Cargo.lock",
        "Cargo.toml",
        "CHANGELOG.md",
        "Dockerfile",
        "LICENSE",
        "README.md",
        "dashboards",
        "probes",
        "src",
        "target",
        "tests",
    ]
    .map(str::to_owned)
    .into();
    let visible = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange: Vec<_> = visible.filter(|name| !name.starts_with('.') && !allowed.contains(name)).collect();
    assert!(strange.is_empty(), "the top level holds {strange:?}; tool settings go into dot-folders");
}

/// The lists are those of `.cargo/deny.toml`, so that one place says what may be built in.
#[test]
fn every_dependency_may_be_built_in() {
    let deny = text(&root().join(".cargo/deny.toml"));
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let section = |start: &str| deny.split(start).nth(1).unwrap().split("\n]").next().unwrap().to_owned();
    let allowed: BTreeSet<_> = section("\nallow = [").lines().filter_map(quoted).collect();
    let banned: BTreeSet<_> = section("\ndeny = [").lines().filter_map(quoted).collect();
    assert!(allowed.len() >= 8 && banned.len() >= 4, "{allowed:?} {banned:?}");
    let cargo = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "found only {} packages", packages.len());
    for package in packages.iter().filter(|package| package["name"] != "forewarn") {
        let name = package["name"].as_str().unwrap();
        let license = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(license, &allowed), "{name} is under {license}, which .cargo/deny.toml does not allow");
        assert!(!banned.contains(name), "{name} is banned by .cargo/deny.toml");
        assert_eq!(package["source"], "registry+https://github.com/rust-lang/crates.io-index", "{name}");
    }
}

#[test]
fn a_licence_is_read_as_it_is_meant() {
    let allowed: BTreeSet<_> = ["MIT", "ISC"].map(str::to_owned).into();
    for fine in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "ISC AND (Apache-2.0 OR MIT)", "(MIT OR X) AND ISC"] {
        assert!(is_allowed(fine, &allowed), "{fine}");
    }
    for wrong in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND X", "none"] {
        assert!(!is_allowed(wrong, &allowed), "{wrong}");
    }
}

/// Every part joined by AND offers, among those joined by OR, one that is allowed. Parentheses stand around ORs only.
fn is_allowed(license: &str, allowed: &BTreeSet<String>) -> bool {
    let spelled = license.replace('/', " OR ").replace(['(', ')'], " ");
    let offers = |part: &str| {
        part.split(" OR ").any(|one| allowed.contains(one.split(" WITH ").next().unwrap_or_default().trim()))
    };
    spelled.split(" AND ").all(offers)
}

#[test]
fn the_module_map_names_every_module() {
    let lib = text(&root().join("src/lib.rs"));
    for (room, _) in FLOORS {
        assert!(lib.contains(&format!("[`{room}`]")), "src/lib.rs has no row for {room}");
        assert!(lib.contains(&format!("pub mod {room};")), "src/lib.rs does not declare {room}");
    }
}

/// The modules at the crate's root that a line names: `use crate::model::…`, `crate::base::…`, `pub(in crate::probe)`.
fn named_modules(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let after = code.split("crate::").skip(1);
    let words = after.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
    // A macro of `probe`, at the crate's root because that is where exported macros stand.
    words
        .filter(|word| !word.is_empty())
        .map(|word| if word == "probe_types" { "probe".to_owned() } else { word })
        .collect()
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The module at the crate's root that a file belongs to; `None` for `lib.rs` and `main.rs`.
fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    (!matches!(first, "lib.rs" | "main.rs")).then(|| first.trim_end_matches(".rs").to_owned())
}

fn sources() -> Vec<PathBuf> {
    let found = files("src", "rs");
    assert!(found.len() > 30, "found only {} source files", found.len());
    found
}

/// Every file below `folder` (from the repository's root) that ends in `extension`.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[expect(clippy::disallowed_methods, reason = "the project's own files are no bytes from outside")]
fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
