//! The page that lists every metric, written from the same tables as the exposition.
//!
//! Only the text; who keeps the file up to date is not decided here.

use std::fmt::Write as _;

use super::MetricsError;
use super::agent::{Agent, kind};
use super::catalogue::{Catalogue, Family};
use super::format::{Type, bound};
use crate::model::measure::{Form, Kind};

/// A Markdown page with one row for each metric: name, type, labels, probe types, meaning.
///
/// # Errors
/// [`MetricsError`] when the tables do not fit together.
pub fn reference(kinds: &[&'static Kind]) -> Result<String, MetricsError> {
    let catalogue = Catalogue::new(kinds)?;
    let mut page = String::from(PROBES);
    for family in catalogue.families() {
        let form = Type::of(family.metric.form).as_str();
        let kinds = family.kinds.join(", ");
        row(&mut page, &[&code(family.metric.name), form, &labels(family), &kinds, &meaning(family)]);
    }
    page.push_str(AGENT);
    for family in Agent::new(&[("version", "")])?.gather() {
        let names = family.get_metric().first().map_or(&[][..], |metric| metric.get_label());
        let names: Vec<_> = names.iter().map(|pair| code(pair.name())).collect();
        let form = kind(&family).map_or("", Type::as_str);
        row(&mut page, &[&code(family.name()), form, &names.join(", "), family.help()]);
    }
    Ok(page)
}

/// The labels beside the probe's own, each with its values where the tables fix them.
fn labels(family: &Family) -> String {
    let texts = family.labels.iter().map(|(name, values)| match values.as_slice() {
        [] => code(name),
        values => format!("{} = {}", code(name), values.join(", ")),
    });
    texts.collect::<Vec<_>>().join("; ")
}

fn meaning(family: &Family) -> String {
    match family.metric.form {
        Form::Gauge | Form::Counter => family.metric.help.to_owned(),
        Form::Histogram(bounds) => {
            let bounds: Vec<_> = bounds.iter().map(|value| bound(*value)).collect();
            format!("{} Buckets: {}.", family.metric.help, bounds.join(", "))
        }
    }
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn row(page: &mut String, cells: &[&str]) {
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(page, "| {} ", cell.replace('|', "\\|"));
    }
    page.push_str("|\n");
}

const PROBES: &str = "\
# Metrics

Written from the program's tables; do not edit.

## Of each probe

Every series has the labels `probe`, `service`, `surface`, `region` and those that the configuration gives the probe.
A gauge shows the attempt that finished last, and is absent when that attempt did not get so far. Counters and histograms
are there from the start, at zero, and go on over a reload that leaves the probe's name, type and labels as they were;
only the series of `forewarn_probe_failures_total` and `forewarn_probe_runs_skipped_total` appear when first needed.

| metric | type | labels | probe types | meaning |
|---|---|---|---|---|
";

const AGENT: &str = "
## Of the agent itself

| metric | type | labels | meaning |
|---|---|---|---|
";
