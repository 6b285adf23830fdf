//! Where a probe of one type keeps each of its values, and what the sample lines around them say.
//!
//! Worked out once per probe type, so that a result is stored and a line is written without looking anything up.
//! Holds no values.

use super::catalogue::Family;
use super::common::{COMMON, FAILURES, SKIPS};
use super::format::{bound, label};
use crate::model::measure::{Form, Info, Kind, Label, Metric, Series, Source};

/// The slots of a probe type's values, in one row of numbers.
///
/// A gauge or counter takes one slot; a histogram one per bucket, one for what is above the last, one for the sum. A
/// gauge without a value is NaN.
#[derive(Debug)]
pub(super) struct Layout {
    /// The row of a probe that has not run.
    pub(super) blank: Box<[f64]>,
    /// How the numbers of every attempt are stored.
    pub(super) common: Box<[Intake]>,
    /// How the numbers of this probe type are stored.
    pub(super) own: Box<[Intake]>,
    /// How what is known of outstanding jobs is stored.
    pub(super) pending: Box<[Intake]>,
    /// The info metrics; their texts stand outside the row, in this order.
    pub(super) infos: &'static [Info],
    /// What a probe has of each family, by the family's place in the catalogue.
    pub(super) cells: Box<[Box<[Cell]>]>,
}

/// Where one number of a result goes.
#[derive(Debug)]
pub(super) struct Intake {
    pub(super) from: Source,
    form: Form,
    at: usize,
}

/// One thing that a probe has in a family. `tail` closes a sample's label set after the probe's own labels.
#[derive(Debug)]
pub(super) enum Cell {
    /// A gauge's or counter's only sample.
    Value { tail: String, at: usize },
    /// The same, with a label whose value is the probe's setting `key`.
    Setting { name: &'static str, key: &'static str, at: usize },
    /// A histogram: a tail for each bucket, the last one being that of `+Inf`.
    Histogram { buckets: Box<[String]>, tail: String, at: usize },
    /// An info metric, by its place among the type's.
    Info { at: usize },
    /// The failures by reason.
    Failures,
    /// The skips by cause.
    Skips,
}

impl Layout {
    /// The common values, and those of `kind` if given.
    pub(super) fn new(kind: Option<&'static Kind>, families: &[Family]) -> Self {
        let mut plan = Plan { blank: Vec::new(), cells: families.iter().map(|_| Vec::new()).collect(), families };
        let common = plan.intakes(COMMON.series);
        plan.place(&FAILURES, Cell::Failures);
        plan.place(&SKIPS, Cell::Skips);
        let own = plan.intakes(kind.map_or(&[], |kind| kind.series));
        let (pending, own): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|intake| matches!(intake.from, Source::Pending(_)));
        let infos = kind.map_or(&[][..], |kind| kind.infos);
        for (at, info) in infos.iter().enumerate() {
            plan.place(info.metric, Cell::Info { at });
        }
        let cells = plan.cells.into_iter().map(Vec::into_boxed_slice).collect();
        Self { blank: plan.blank.into(), common, own: own.into(), pending: pending.into(), infos, cells }
    }
}

impl Intake {
    /// Stores what a result says: a gauge follows it, even into absence; counters and histograms add to what they have.
    ///
    /// A number that is not finite is no value, and a counter never goes down.
    pub(super) fn take(&self, row: &mut [f64], value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        match (self.form, value) {
            (Form::Gauge, value) => row[self.at] = value.unwrap_or(f64::NAN),
            (Form::Counter, Some(value)) => row[self.at] += value.max(0.0),
            (Form::Histogram(bounds), Some(value)) => {
                row[self.at + bounds.partition_point(|bound| *bound < value)] += 1.0;
                row[self.at + bounds.len() + 1] += value;
            }
            (Form::Counter | Form::Histogram(_), None) => {}
        }
    }
}

/// A layout under construction.
struct Plan<'a> {
    blank: Vec<f64>,
    cells: Vec<Vec<Cell>>,
    families: &'a [Family],
}

impl Plan<'_> {
    fn intakes(&mut self, table: &'static [Series]) -> Box<[Intake]> {
        table.iter().map(|series| self.intake(series)).collect()
    }

    fn intake(&mut self, series: &Series) -> Intake {
        let at = self.blank.len();
        let form = series.metric.form;
        let (blank, slots) = match form {
            Form::Gauge => (f64::NAN, 1),
            Form::Counter => (0.0, 1),
            Form::Histogram(bounds) => (0.0, bounds.len() + 2),
        };
        self.blank.resize(at + slots, blank);
        let label = series.label.and_then(|label| Some((label.name(), label.value()?)));
        let tail = tail(label);
        let cell = match form {
            Form::Gauge | Form::Counter => match series.label {
                Some(Label::Setting(name, key)) => Cell::Setting { name, key, at },
                _ => Cell::Value { tail, at },
            },
            Form::Histogram(bounds) => {
                let texts = bounds.iter().map(|value| bound(*value)).chain(["+Inf".to_owned()]);
                let buckets = texts.map(|text| self::tail(label.into_iter().chain([("le", &*text)]))).collect();
                Cell::Histogram { buckets, tail, at }
            }
        };
        self.place(series.metric, cell);
        Intake { from: series.from, form, at }
    }

    fn place(&mut self, metric: &Metric, cell: Cell) {
        let place = self.families.iter().position(|family| family.metric.name == metric.name);
        if let Some(cells) = place.and_then(|place| self.cells.get_mut(place)) {
            cells.push(cell);
        }
    }
}

/// What follows the probe's own labels in a sample: the extra labels, the closing brace and a blank.
pub(super) fn tail<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut tail = String::new();
    for (name, value) in labels {
        tail.push(',');
        label(&mut tail, name, value);
    }
    tail.push_str("} ");
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(form: Form, slots: usize, values: &[f64]) -> Vec<f64> {
        let mut row = vec![0.0; slots];
        let intake = Intake { from: Source::Measure("x"), form, at: 0 };
        for value in values {
            intake.take(&mut row, Some(*value));
        }
        row
    }

    #[test]
    fn buckets_include_their_bound() {
        let bounds = &[1.0, 2.0];
        assert_eq!(taken(Form::Histogram(bounds), 4, &[0.0, 1.0, 1.5, 2.0, 3.0]), [2.0, 2.0, 1.0, 7.5]);
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_values() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(taken(Form::Histogram(&[1.0]), 3, &odd), [0.0, 0.0, 0.0]);
        assert_eq!(taken(Form::Counter, 1, &odd), [0.0]);
        assert!(taken(Form::Gauge, 1, &odd)[0].is_nan());
    }

    #[test]
    fn a_counter_never_goes_down() {
        assert_eq!(taken(Form::Counter, 1, &[2.0, -1.0, 0.5]), [2.5]);
    }
}
