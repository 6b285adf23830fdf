//! What is wrong with a configuration: a place, what was found, what to do.
//!
//! Gathers problems and orders them. Never holds a value that came from `${env:…}` or `${file:…}`: whoever makes a
//! problem quotes the YAML as it is written. Drawing them is [`super::render`]'s work.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not do what its author wanted.
    Warning,
}

/// A stretch of one line in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// How many characters it covers; 0 where only the point is known.
    pub length: u32,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the user named it; empty where no file is concerned.
    pub file: Arc<str>,
    /// Where in the file, unless it concerns the file as a whole.
    pub place: Option<Place>,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What to do about it, or what was expected.
    pub hint: Option<String>,
    /// The line of the file that holds the place, shortened around it.
    pub excerpt: Option<Excerpt>,
}

/// A part of a source line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// How many characters of the line were cut off before it.
    pub skipped: u32,
    /// True when the line goes on after it.
    pub cut: bool,
}

impl Problem {
    /// An error that concerns a file as a whole.
    #[must_use]
    pub fn in_file(file: &Arc<str>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: Arc::clone(file),
            place: None,
            message: message.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a hint, if there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    fn order(&self) -> (&str, Option<Place>, &str) {
        (&self.file, self.place, &self.message)
    }
}

/// Problems, each once, up to a limit beyond which they are only counted.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    seen: HashSet<(Arc<str>, Option<Place>, String)>,
    omitted: usize,
    errors: usize,
}

impl Problems {
    /// Takes a problem in, unless the same was said about the same place (an anchor that many probes share is read
    /// many times).
    pub fn add(&mut self, problem: Problem) {
        if self.list.len() >= MAX_PROBLEMS {
            self.omitted += 1;
            self.errors += usize::from(problem.severity == Severity::Error);
        } else if self.seen.insert((Arc::clone(&problem.file), problem.place, problem.message.clone())) {
            self.errors += usize::from(problem.severity == Severity::Error);
            self.list.push(problem);
        }
    }

    /// True when at least one is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// True when no more are kept, so that looking for further details is in vain.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.list.len() >= MAX_PROBLEMS
    }

    /// The problems by file, line and column.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Problem> {
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by(|one, other| one.order().cmp(&other.order()));
        sorted
    }

    /// How many were found beyond those that are kept.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// How many errors were found, kept or not.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// The kept problems, by file, line and column.
    #[must_use]
    pub fn into_sorted(self) -> Vec<Problem> {
        let mut list = self.list;
        list.sort_by(|one, other| one.order().cmp(&other.order()));
        list
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, problems: I) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }
}

/// The plain text of all problems, as `check` prints them without colour.
impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&super::render::text(self, super::render::Colour::Never))
    }
}

impl std::error::Error for Problems {}

/// Nobody reads more than this at once; the rest is counted.
const MAX_PROBLEMS: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, message: &str) -> Problem {
        let place = Place { line, column: 1, length: 1 };
        Problem { place: Some(place), ..Problem::in_file(&"a.yml".into(), message) }
    }

    #[test]
    fn the_same_problem_is_kept_once_and_the_order_is_the_files() {
        let mut problems = Problems::default();
        problems.extend([at(9, "b"), at(2, "a"), at(9, "b")]);
        let lines: Vec<_> = problems.sorted().iter().filter_map(|problem| problem.place).map(|p| p.line).collect();
        assert_eq!(lines, [2, 9]);
        assert_eq!(problems.errors(), 2);
    }

    #[test]
    fn a_flood_is_counted_not_kept() {
        let mut problems = Problems::default();
        problems.extend((0..500).map(|line| at(line, "x")));
        assert_eq!((problems.sorted().len(), problems.omitted(), problems.errors()), (200, 300, 500));
    }

    #[test]
    fn a_warning_is_no_error() {
        let mut problems = Problems::default();
        problems.add(at(1, "x").warning());
        assert!(!problems.has_errors());
    }
}
