//! How a probe type says what it can learn: numbers, facts, and the metric series made from them.
//!
//! Each probe type owns its tables (`Kind`); the metrics read them. So a new type brings its own metrics, and a name
//! stands in one place. Values live in [`ProbeResult`](super::result::ProbeResult), not here.

/// A number that a probe type can learn, by the key under which results carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    /// The key in a result's `measures`.
    pub key: &'static str,
    /// What it is, with its unit.
    pub about: &'static str,
    /// In which unit it is, for whoever shows it to people.
    pub unit: Unit,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing that has a unit: a status, a count, a flag.
    Number,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Unix seconds.
    Moment,
}

impl Measure {
    /// A number without a unit.
    #[must_use]
    pub const fn number(key: &'static str, about: &'static str) -> Self {
        Self { key, about, unit: Unit::Number }
    }

    /// A span in seconds.
    #[must_use]
    pub const fn seconds(key: &'static str, about: &'static str) -> Self {
        Self { key, about, unit: Unit::Seconds }
    }

    /// A size in bytes.
    #[must_use]
    pub const fn bytes(key: &'static str, about: &'static str) -> Self {
        Self { key, about, unit: Unit::Bytes }
    }

    /// A moment in Unix seconds.
    #[must_use]
    pub const fn moment(key: &'static str, about: &'static str) -> Self {
        Self { key, about, unit: Unit::Moment }
    }
}

/// A text that a probe type can learn, by the key under which results carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// The key in a result's `facts`.
    pub key: &'static str,
    /// What it is.
    pub about: &'static str,
}

/// A metric family.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The full Prometheus name.
    pub name: &'static str,
    /// The `HELP` text: one sentence.
    pub help: &'static str,
    /// How values become samples.
    pub form: Form,
}

impl Metric {
    /// A family of gauges.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, form: Form::Gauge }
    }
}

/// How values become samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Form {
    /// The last result's value; absent when the last result has none.
    Gauge,
    /// The sum of all results' values since the probe was first loaded.
    Counter,
    /// All results' values, in buckets with these upper bounds (ascending, without +Inf).
    Histogram(&'static [f64]),
}

/// One series of a metric, and where its value comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Series {
    /// The family it belongs to.
    pub metric: &'static Metric,
    /// One label beside the probe's own.
    pub label: Option<Label>,
    /// Where the value is found in a result.
    pub from: Source,
}

impl Series {
    /// A series of one of a result's measures, by key.
    #[must_use]
    pub const fn measured(metric: &'static Metric, key: &'static str) -> Self {
        Self { metric, label: None, from: Source::Measure(key) }
    }

    /// A series of how long one phase took, with the phase's name as the label `phase`.
    #[must_use]
    pub const fn phase(metric: &'static Metric, name: &'static str) -> Self {
        Self { metric, label: Some(Label::Value("phase", name)), from: Source::Phase(name) }
    }
}

/// A label beside the probe's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Always the same: its name and its value, such as `phase="connect"`.
    Value(&'static str, &'static str),
    /// Its name, and the key of the probe's setting that is its value, such as the unit of its budget. A probe without that
    /// setting does not have the series.
    Setting(&'static str, &'static str),
}

impl Label {
    /// The label's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Value(name, _) | Self::Setting(name, _) => name,
        }
    }

    /// The label's value, where it is always the same.
    #[must_use]
    pub const fn value(self) -> Option<&'static str> {
        match self {
            Self::Value(_, value) => Some(value),
            Self::Setting(..) => None,
        }
    }
}

/// Where a series finds its value in a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The measure with this key.
    Measure(&'static str),
    /// The duration of the phase with this name, in seconds.
    Phase(&'static str),
    /// Not in a result: in the probe's jobs that have not ended, by one of the keys of [`job`](super::job).
    Pending(&'static str),
}

/// A gauge that is always 1 and carries texts as labels. Present when the result has every fact that it names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Info {
    /// The family; its form is a gauge.
    pub metric: &'static Metric,
    /// Pairs of label name and the fact that fills it.
    pub labels: &'static [(&'static str, &'static str)],
}

/// Tables put together, so that types can share parts of theirs. To be called for a `static` or a `const`.
///
/// # Panics
/// While the program is compiled: if `N` is not the length of the whole.
#[must_use]
pub const fn joined<T: Copy, const N: usize>(tables: &[&[T]]) -> [T; N] {
    let mut out = [tables[0][0]; N];
    let (mut place, mut table) = (0, 0);
    while table < tables.len() {
        let mut row = 0;
        while row < tables[table].len() {
            out[place] = tables[table][row];
            place += 1;
            row += 1;
        }
        table += 1;
    }
    assert!(place == N, "the whole is not as long as its parts");
    out
}

/// What one probe type can learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// The key in YAML: `http`.
    pub name: &'static str,
    /// One sentence for the reference.
    pub about: &'static str,
    /// The phases it times, in order.
    pub phases: &'static [&'static str],
    /// Its numbers.
    pub measures: &'static [Measure],
    /// Its texts.
    pub facts: &'static [Fact],
    /// The series made from phases and measures. Series of one metric stand together.
    pub series: &'static [Series],
    /// The info metrics made from facts.
    pub infos: &'static [Info],
}
