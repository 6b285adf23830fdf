//! Resolves `${env:NAME}` and `${file:PATH}` in the scalars of a parsed document.
//!
//! Values only, never keys; after parsing, so that no value can change the document's structure; once, so that a value
//! that looks like a reference stays as it is. `$${` stands for a literal `${`.

use std::path::Path;

use super::parse::Flaw;
use super::{Document, NodeId, Variables};
use crate::base::bounded::{ReadError, printable, read_file};
use crate::config::problem::Place;

/// What a scalar with references stands for.
#[derive(Debug)]
pub(super) struct Expansion {
    /// The text with every reference replaced.
    pub(super) value: String,
    /// False when there were only escapes.
    pub(super) secret: bool,
}

/// Resolves every reference of a document. `None` beside a node: it cannot be resolved, and `flaws` says why.
pub(super) fn expand(
    document: &Document,
    folder: &Path,
    variables: Variables<'_>,
    flaws: &mut Vec<Flaw>,
) -> Vec<(NodeId, Option<Expansion>)> {
    let tree = &document.tree;
    if !tree.scalars.contains("${") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (id, written) in tree.scalar_values().filter(|(_, written)| written.contains("${")) {
        let expansion = resolve(written, folder, variables).map_err(|unresolved| {
            let place = locate(document, tree.place(id), &unresolved.reference);
            flaws.push(Flaw { place, message: unresolved.message, hint: Some(unresolved.hint) });
        });
        found.push((id, expansion.ok()));
    }
    found
}

struct Unresolved {
    reference: String,
    message: String,
    hint: String,
}

fn resolve(written: &str, folder: &Path, variables: Variables<'_>) -> Result<Expansion, Unresolved> {
    let mut expansion = Expansion { value: String::with_capacity(written.len()), secret: false };
    let mut rest = written;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            expansion.value.push_str(before);
            expansion.value.push_str("${");
            rest = reference.get(2..).unwrap_or_default();
            continue;
        }
        expansion.value.push_str(before);
        let Some(end) = reference.find('}') else {
            return Err(Unresolved {
                reference: "${".to_owned(),
                message: "`${` without a closing `}`".to_owned(),
                hint: LITERAL_HINT.to_owned(),
            });
        };
        let (reference, tail) = reference.split_at(end + 1);
        expansion.value.push_str(&value_of(reference, folder, variables)?);
        expansion.secret = true;
        rest = tail;
    }
    expansion.value.push_str(rest);
    Ok(expansion)
}

/// What one `${kind:name}` stands for.
fn value_of(reference: &str, folder: &Path, variables: Variables<'_>) -> Result<String, Unresolved> {
    let fail = |message: String, hint: &str| {
        Err(Unresolved { reference: reference.to_owned(), message, hint: hint.to_owned() })
    };
    let shown = printable(reference, 100);
    let inner = reference.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')).unwrap_or_default();
    match inner.split_once(':') {
        Some(("env", name)) if is_variable(name) => match variables(name) {
            Some(value) => Ok(value),
            None => fail(
                format!("the environment variable `{name}` is not set"),
                "set it before starting forewarn, and export it; a name with a typing mistake looks the same",
            ),
        },
        Some(("env", _)) => {
            fail(format!("`{shown}` names no environment variable"), "use letters, digits and `_`: `${env:API_KEY}`")
        }
        Some(("file", path)) if !path.is_empty() => match file(&folder.join(path)) {
            Ok(value) => Ok(value),
            Err(why) => fail(
                format!("the file of `{shown}` cannot be read: {why}"),
                "the path counts from the folder of this YAML file, unless it begins with `/`",
            ),
        },
        _ => {
            let hint = if is_variable(inner) {
                format!("write `${{env:{inner}}}` for an environment variable; {LITERAL_HINT}")
            } else {
                LITERAL_HINT.to_owned()
            };
            fail(format!("`{shown}` is neither `${{env:NAME}}` nor `${{file:PATH}}`"), &hint)
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A file's text without one line end at its end, since editors put one there.
fn file(path: &Path) -> Result<String, String> {
    let bytes = read_file(path, MAX_FILE).map_err(|error| match error {
        ReadError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => "no such file".to_owned(),
        error => error.to_string(),
    })?;
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Where `reference` stands in the scalar at `place`; the scalar's own place when it is not found on its first line.
fn locate(document: &Document, place: Place, reference: &str) -> Place {
    let line = document.line(place.line).unwrap_or_default();
    let from: String = line.chars().skip(place.column.saturating_sub(1) as usize).collect();
    let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    match from.split_once(reference) {
        Some((before, _)) => Place { column: place.column + count(before), length: count(reference), ..place },
        None => place,
    }
}

const MAX_FILE: u64 = 1 << 20;
const LITERAL_HINT: &str = "write `$${` for a literal `${`";

#[cfg(test)]
mod tests {
    use super::*;

    fn value(written: &str) -> Result<Expansion, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret\r\n").unwrap();
        let variables = |name: &str| (name == "NAME").then(|| "${env:OTHER}".to_owned());
        resolve(written, folder.path(), &variables).map_err(|unresolved| unresolved.message)
    }

    #[test]
    fn references_are_replaced_anywhere_and_once() {
        for (written, expected, secret) in [
            ("Key ${env:NAME}!", "Key ${env:OTHER}!", true),
            ("${file:token}-${file:token}", "s3cret-s3cret", true),
            ("$${env:NAME}", "${env:NAME}", false),
            ("a$b {c} $", "a$b {c} $", false),
        ] {
            let expansion = value(written).unwrap();
            assert_eq!((expansion.value.as_str(), expansion.secret), (expected, secret), "{written}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_says_why() {
        for (written, message) in [
            ("${env:MISSING}", "the environment variable `MISSING` is not set"),
            ("${env:a b}", "`${env:a b}` names no environment variable"),
            ("${file:nowhere}", "the file of `${file:nowhere}` cannot be read: no such file"),
            ("${HOME}", "`${HOME}` is neither `${env:NAME}` nor `${file:PATH}`"),
            ("${", "`${` without a closing `}`"),
        ] {
            assert_eq!(value(written).unwrap_err(), message);
        }
    }
}
