//! Every per-probe metric there is: those of all probes and those that the probe types bring.
//!
//! Checks that the tables fit together; holds no values. The agent's own metrics are in `agent`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::common::{COMMON, FAILURE_LABELS, FAILURES, SKIP_LABEL, SKIPS};
use super::format::{Format, Type};
use super::layout::Layout;
use crate::model::job::{JOBS, OLDEST, PLACE};
use crate::model::measure::{Form, Info, Kind, Metric, Series, Source};

/// The checked tables of all probe types together.
#[derive(Debug)]
pub struct Catalogue {
    families: Vec<Family>,
    layouts: Vec<(&'static Kind, Arc<Layout>)>,
    common: Arc<Layout>,
    labels: BTreeSet<&'static str>,
}

/// Two tables, or a table and the rules for metrics, do not fit together: a mistake in the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metric `{metric}` of `{kind}`: {problem}")]
pub struct CatalogueError {
    /// The metric's name.
    pub metric: String,
    /// The probe type whose table shows the mistake.
    pub kind: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// Why a user may not give probes this label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Not a label name at all.
    #[error("`{0}` is not a label name; use letters, digits and `_`, not starting with a digit or `__`")]
    Malformed(String),
    /// The metrics use it themselves.
    #[error("the label `{0}` is set by Forewarn itself; use another name")]
    Taken(String),
}

impl Catalogue {
    /// The common metrics and those of `kinds`, in this order.
    ///
    /// # Errors
    /// [`CatalogueError`] when two tables define a metric differently, or a table breaks the rules for names, labels,
    /// help texts or buckets, or names a phase, measure or fact that its type does not have.
    pub fn new(kinds: &[&'static Kind]) -> Result<Self, CatalogueError> {
        let mut families = Families::default();
        families.admit(&COMMON)?;
        families.admit_metric(&COMMON, &FAILURES, &FAILURE_LABELS.map(|name| (name, None)))?;
        families.admit_metric(&COMMON, &SKIPS, &[(SKIP_LABEL, None)])?;
        for kind in kinds {
            families.admit(kind)?;
        }
        let families = families.0;
        let common = Arc::new(Layout::new(None, &families));
        let layouts = kinds.iter().map(|kind| (*kind, Arc::new(Layout::new(Some(kind), &families)))).collect();
        let labels = families.iter().flat_map(|family| family.labels.keys().copied()).chain(RESERVED).collect();
        Ok(Self { families, layouts, common, labels })
    }

    /// Whether users may give probes a label of this name.
    ///
    /// # Errors
    /// [`LabelError`] when it is no label name, or one that a metric has already: two labels of one name would make the
    /// whole scrape unreadable.
    pub fn check_label(&self, name: &str) -> Result<(), LabelError> {
        let shown = || crate::base::bounded::printable(name, 60);
        if self.labels.contains(name) {
            return Err(LabelError::Taken(shown()));
        }
        if is_label_name(name) { Ok(()) } else { Err(LabelError::Malformed(shown())) }
    }

    /// The families in the order of the exposition.
    pub(super) fn families(&self) -> &[Family] {
        &self.families
    }

    /// Where a probe of this type keeps its values. A type that is not in the catalogue has the common metrics only.
    pub(super) fn layout(&self, kind: &'static Kind) -> Arc<Layout> {
        let known = self.layouts.iter().find(|(known, _)| same_kind(known, kind));
        Arc::clone(known.map_or(&self.common, |(_, layout)| layout))
    }
}

/// Whether two references mean one probe type. Most often they are the same; a table in a `const` may have two addresses.
pub(super) fn same_kind(left: &'static Kind, right: &'static Kind) -> bool {
    std::ptr::eq(left, right) || left == right
}

/// One metric family: what the tables say of it together, and the texts that its samples begin with.
#[derive(Debug)]
pub(super) struct Family {
    /// Its definition.
    pub(super) metric: &'static Metric,
    /// Names of the labels beside the probe's own, with the values that are known beforehand.
    pub(super) labels: BTreeMap<&'static str, Vec<&'static str>>,
    /// The probe types that have it.
    pub(super) kinds: Vec<&'static str>,
    /// What its sample lines begin with, by suffix.
    pub(super) opens: Opens,
    text_header: String,
    open_metrics_header: String,
}

/// What sample lines begin with: name, suffix and the brace that opens the labels.
#[derive(Debug)]
pub(super) struct Opens {
    /// A gauge's or counter's sample.
    pub(super) plain: String,
    /// A histogram's bucket.
    pub(super) bucket: String,
    /// A histogram's sum.
    pub(super) sum: String,
    /// A histogram's count.
    pub(super) count: String,
}

impl Family {
    fn new(metric: &'static Metric) -> Self {
        let name = metric.name;
        let header = |format: Format| format.header(name, Type::of(metric.form), metric.help);
        Self {
            metric,
            labels: BTreeMap::new(),
            kinds: Vec::new(),
            opens: Opens {
                plain: format!("{name}{{"),
                bucket: format!("{name}_bucket{{"),
                sum: format!("{name}_sum{{"),
                count: format!("{name}_count{{"),
            },
            text_header: header(Format::Text),
            open_metrics_header: header(Format::OpenMetrics),
        }
    }

    /// The lines that stand before its samples.
    pub(super) fn header(&self, format: Format) -> &str {
        match format {
            Format::Text => &self.text_header,
            Format::OpenMetrics => &self.open_metrics_header,
        }
    }
}

impl Type {
    /// The type that a form is exposed as.
    pub(super) const fn of(form: Form) -> Self {
        match form {
            Form::Gauge => Self::Gauge,
            Form::Counter => Self::Counter,
            Form::Histogram(_) => Self::Histogram,
        }
    }
}

/// A label of a series: its name, and its value if the table fixes it.
type Named = (&'static str, Option<&'static str>);

#[derive(Default)]
struct Families(Vec<Family>);

impl Families {
    fn admit(&mut self, kind: &'static Kind) -> Result<(), CatalogueError> {
        let mut seen = BTreeSet::new();
        for series in kind.series {
            let label = series.label.map(|label| (label.name(), label.value()));
            self.admit_metric(kind, series.metric, label.as_slice())?;
            if !seen.insert((series.metric.name, series.label)) {
                return Err(problem(kind, series.metric, "the table has this series twice; remove one"));
            }
            check_source(kind, series)?;
        }
        for info in kind.infos {
            let labels: Vec<Named> = info.labels.iter().map(|(name, _)| (*name, None)).collect();
            self.admit_metric(kind, info.metric, &labels)?;
            if !seen.insert((info.metric.name, None)) {
                return Err(problem(kind, info.metric, "the table has this info metric twice; remove one"));
            }
            check_info(kind, info)?;
        }
        Ok(())
    }

    fn admit_metric(
        &mut self,
        kind: &'static Kind,
        metric: &'static Metric,
        labels: &[Named],
    ) -> Result<(), CatalogueError> {
        let place = self.0.iter().position(|family| family.metric.name == metric.name);
        let family = if let Some(place) = place {
            &mut self.0[place]
        } else {
            check_metric(kind, metric)?;
            for (name, _) in labels {
                check_label(kind, metric, name)?;
            }
            self.0.push(Family::new(metric));
            let Some(family) = self.0.last_mut() else { return Ok(()) };
            family.labels = labels.iter().map(|(name, _)| (*name, Vec::new())).collect();
            family
        };
        if family.metric != metric {
            return Err(problem(kind, metric, "another table defines it differently; share one definition"));
        }
        if !family.labels.keys().copied().eq(labels.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>()) {
            return Err(problem(kind, metric, "another series of it has other label names; give all the same"));
        }
        for (name, value) in labels {
            if let (Some(value), Some(values)) = (value, family.labels.get_mut(name))
                && !values.contains(value)
            {
                values.push(value);
            }
        }
        if !family.kinds.contains(&kind.name) {
            family.kinds.push(kind.name);
        }
        Ok(())
    }
}

fn check_metric(kind: &Kind, metric: &Metric) -> Result<(), CatalogueError> {
    let name = metric.name;
    let wrong = |text: &str| Err(problem(kind, metric, text));
    if !is_label_name(name) {
        return wrong("not a metric name; use lower-case letters, digits and `_`");
    }
    if metric.help.is_empty() || metric.help.contains(char::is_control) {
        return wrong("the help text must be one line");
    }
    if (metric.form == Form::Counter) != name.ends_with("_total") {
        return wrong("`_total` ends the names of counters, and of nothing else");
    }
    if ["_bucket", "_sum", "_count", "_created"].iter().any(|suffix| name.ends_with(suffix)) {
        return wrong("the suffix means something else in the exposition; choose another name");
    }
    if let Form::Histogram(bounds) = metric.form
        && (bounds.is_empty() || !bounds.iter().all(|bound| bound.is_finite()) || !bounds.is_sorted_by(|a, b| a < b))
    {
        return wrong("buckets must be finite and ascending, and at least one");
    }
    Ok(())
}

fn check_label(kind: &Kind, metric: &Metric, name: &str) -> Result<(), CatalogueError> {
    if RESERVED.contains(&name) || !is_label_name(name) {
        return Err(problem(kind, metric, &format!("`{name}` cannot be a label here; choose another name")));
    }
    Ok(())
}

fn check_source(kind: &Kind, series: &Series) -> Result<(), CatalogueError> {
    let (what, key, known) = match series.from {
        Source::Measure(key) => ("measure", key, kind.measures.iter().any(|measure| measure.key == key)),
        Source::Phase(name) => ("phase", name, kind.phases.contains(&name)),
        Source::Pending(key) => ("number of pending jobs", key, [JOBS, OLDEST, PLACE].contains(&key)),
    };
    if known {
        return Ok(());
    }
    Err(problem(kind, series.metric, &format!("the type has no {what} `{key}`; add it to the type's table")))
}

fn check_info(kind: &Kind, info: &Info) -> Result<(), CatalogueError> {
    if info.metric.form != Form::Gauge {
        return Err(problem(kind, info.metric, "an info metric must be a gauge"));
    }
    match info.labels.iter().find(|(_, key)| !kind.facts.iter().any(|fact| fact.key == *key)) {
        None => Ok(()),
        Some((_, key)) => {
            Err(problem(kind, info.metric, &format!("the type has no fact `{key}`; add it to the type's table")))
        }
    }
}

fn problem(kind: &Kind, metric: &Metric, problem: &str) -> CatalogueError {
    CatalogueError { metric: metric.name.to_owned(), kind: kind.name.to_owned(), problem: problem.to_owned() }
}

/// The rule for label names; also ours for metric names, which would allow colons that are meant for recording rules.
fn is_label_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty()
        && name.bytes().all(allowed)
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.starts_with("__")
}

/// Labels that every probe has, and those that the formats keep for themselves.
const RESERVED: [&str; 6] = ["probe", "service", "surface", "region", "le", "quantile"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::measure::{Fact, Label, Measure};

    static SECONDS: Metric = Metric { name: "probe_x_seconds", help: "X.", form: Form::Gauge };
    static INFO: Metric = Metric { name: "probe_x_info", help: "X.", form: Form::Gauge };
    static COUNT: Metric = Metric { name: "forewarn_x_total", help: "X.", form: Form::Counter };

    const EMPTY: Kind = Kind {
        name: "x",
        about: "X.",
        phases: &["dial"],
        measures: &[Measure::number("size", "bytes")],
        facts: &[Fact { key: "version", about: "version" }],
        series: &[],
        infos: &[],
    };

    /// A table; static in the program, so that a test may leak a few.
    fn table(series: &[Series]) -> &'static Kind {
        Box::leak(Box::new(Kind { series: series.to_vec().leak(), ..EMPTY }))
    }

    fn refused(kinds: &[&'static Kind]) -> String {
        Catalogue::new(kinds).unwrap_err().to_string()
    }

    fn series(metric: &'static Metric, label: Option<(&'static str, &'static str)>) -> Series {
        let label = label.map(|(name, value)| Label::Value(name, value));
        Series { metric, label, from: Source::Measure("size") }
    }

    #[test]
    fn kinds_may_share_a_metric() {
        let shared = [series(&SECONDS, Some(("phase", "a")))];
        let other: &'static Kind = Box::leak(Box::new(Kind { name: "y", ..*table(&shared) }));
        let catalogue = Catalogue::new(&[table(&shared), other]).unwrap();
        let family = catalogue.families().iter().find(|family| family.metric.name == SECONDS.name).unwrap();
        assert_eq!(family.kinds, ["x", "y"]);
        assert_eq!(family.labels["phase"], ["a"]);
    }

    #[test]
    fn tables_that_disagree_are_refused() {
        static OTHER: Metric = Metric { name: SECONDS.name, help: "Y.", form: Form::Gauge };
        static STOLEN: Metric = Metric { name: "probe_success", help: "Mine.", form: Form::Gauge };
        let one = table(&[series(&SECONDS, None)]);
        for (kinds, expected) in [
            (vec![one, table(&[series(&OTHER, None)])], "defines it differently"),
            (vec![table(&[series(&STOLEN, None)])], "defines it differently"),
            (vec![one, table(&[series(&SECONDS, Some(("phase", "a")))])], "other label names"),
            (vec![table(&[series(&SECONDS, None), series(&SECONDS, None)])], "twice"),
        ] {
            assert!(refused(&kinds).contains(expected), "{}", refused(&kinds));
        }
    }

    #[test]
    fn a_series_needs_its_source() {
        static TYPO: Kind = Kind { infos: &[Info { metric: &INFO, labels: &[("version", "verzion")] }], ..EMPTY };
        static NUMBER: Kind = Kind { infos: &[Info { metric: &COUNT, labels: &[("version", "version")] }], ..EMPTY };
        let from = |from| table(&[Series { metric: &SECONDS, label: None, from }]);
        assert_eq!(
            refused(&[from(Source::Measure("sise"))]),
            "metric `probe_x_seconds` of `x`: the type has no measure `sise`; add it to the type's table"
        );
        assert!(refused(&[from(Source::Phase("tls"))]).contains("no phase `tls`"));
        assert!(refused(&[&TYPO]).contains("no fact `verzion`"));
        assert!(refused(&[&NUMBER]).contains("must be a gauge"));
    }

    #[test]
    fn names_labels_and_buckets_follow_the_rules() {
        for (name, form, expected) in [
            ("probe_x", Form::Counter, "`_total` ends"),
            ("probe_x_total", Form::Gauge, "`_total` ends"),
            ("probe_x_count", Form::Gauge, "suffix"),
            ("probe x", Form::Gauge, "not a metric name"),
            ("9x", Form::Gauge, "not a metric name"),
            ("probe_x", Form::Histogram(&[]), "buckets"),
            ("probe_x", Form::Histogram(&[1.0, 1.0]), "buckets"),
            ("probe_x", Form::Histogram(&[1.0, f64::INFINITY]), "buckets"),
        ] {
            let metric: &'static Metric = Box::leak(Box::new(Metric { name, help: "X.", form }));
            let message = refused(&[table(&[series(metric, None)])]);
            assert!(message.contains(expected), "{name}: {message}");
        }
        for label in ["le", "probe", "__x", "a-b", ""] {
            let message = refused(&[table(&[series(&SECONDS, Some((label, "a")))])]);
            assert!(message.contains("cannot be a label"), "{label}: {message}");
        }
    }

    #[test]
    fn users_labels_stay_clear_of_ours() {
        let catalogue = Catalogue::new(&[table(&[series(&SECONDS, Some(("phase", "a")))])]).unwrap();
        for taken in ["probe", "service", "surface", "region", "le", "outcome", "reason", "blame", "why", "phase"] {
            assert_eq!(catalogue.check_label(taken), Err(LabelError::Taken(taken.into())));
        }
        for bad in ["", "a-b", "9a", "__a", "ä"] {
            assert_eq!(catalogue.check_label(bad), Err(LabelError::Malformed(bad.into())));
        }
        assert_eq!(catalogue.check_label("env"), Ok(()));
    }
}
