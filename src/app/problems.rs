//! Problems of a configuration where there is no terminal: as log lines, and as the answer to a reload.
//!
//! Without excerpts: a line of the file may hold a secret in the clear, and logs and answers travel.

use std::fmt::Write as _;

use crate::base::bounded::printable;
use crate::config::problem::{Place, Problem, Problems, Severity};

/// Logs each problem, up to a limit.
pub fn log(problems: &Problems) {
    let sorted = problems.sorted();
    for problem in sorted.iter().take(MOST) {
        let Problem { message, hint, .. } = problem;
        let at = place(problem);
        match problem.severity {
            Severity::Error => tracing::error!(at, hint, "{message}"),
            Severity::Warning => tracing::warn!(at, hint, "{message}"),
        }
    }
    let more = omitted(problems);
    if more > 0 {
        tracing::warn!("{more} more problems; `forewarn check` shows them all");
    }
}

/// One line for each problem, up to a limit, and one for its remedy.
pub(super) fn text(problems: &Problems) -> String {
    let mut out = String::new();
    for problem in problems.sorted().into_iter().take(MOST) {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        // Writing to a string cannot fail.
        let _ = match place(problem) {
            Some(place) => writeln!(out, "{place}: {severity}: {}", problem.message),
            None => writeln!(out, "{severity}: {}", problem.message),
        };
        if let Some(hint) = &problem.hint {
            let _ = writeln!(out, "  help: {hint}");
        }
    }
    let more = omitted(problems);
    if more > 0 {
        let _ = writeln!(out, "and {more} more; `forewarn check` shows them all");
    }
    out
}

/// `file:line:column`, as far as it is known.
fn place(problem: &Problem) -> Option<String> {
    let file = printable(&problem.file, 300);
    match problem.place {
        _ if file.is_empty() => None,
        Some(Place { line, column, .. }) => Some(format!("{file}:{line}:{column}")),
        None => Some(file),
    }
}

fn omitted(problems: &Problems) -> usize {
    problems.sorted().len().saturating_sub(MOST) + problems.omitted()
}

const MOST: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Excerpt;

    fn problem(line: u32) -> Problem {
        let place = Place { line, column: 5, length: 3 };
        let excerpt = Excerpt::around("    key: hunter2", place, true);
        let problem = Problem::in_file(&"a.yml".into(), "unknown key `key`");
        Problem { place: Some(place), excerpt: Some(excerpt), ..problem }.hint("did you mean `keys`?")
    }

    #[test]
    fn an_answer_has_place_and_remedy_and_no_line_of_the_file() {
        let mut problems = Problems::default();
        problems.add(problem(7));
        problems.add(Problem::in_file(&"".into(), "no configuration").warning());
        let expected = "warning: no configuration\na.yml:7:5: error: unknown key `key`\n  help: did you mean `keys`?\n";
        assert_eq!(text(&problems), expected);
    }

    #[test]
    fn a_thousand_problems_are_not_all_told() {
        let mut problems = Problems::default();
        problems.extend((1..=1_000).map(problem));
        let text = text(&problems);
        assert_eq!(text.lines().count(), MOST * 2 + 1);
        assert!(text.ends_with("\nand 980 more; `forewarn check` shows them all\n"), "{text}");
    }
}
