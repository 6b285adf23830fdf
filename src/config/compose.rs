//! Puts the files together: defaults filled in, names and references checked across all of them.
//!
//! Knows the top-level keys and what all probes have in common. A probe type's settings check themselves; files are
//! parsed when they come here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Deserialize;

use super::labels::{Labels, MAX_LABELS};
use super::plan::{Origin, Plan, PlannedProbe};
use super::problem::Problems;
use super::services::Topology;
use super::settings::{AgentSettings, DefaultsSettings, ProbeSettings};
use super::spot::Spot;
use super::suggest;
use super::yaml::collect::collect;
use super::yaml::{Document, Value};
use crate::base::duration::HumanDuration;
use crate::model::name::Name;
use crate::probe::{Pace, Spec};
use crate::schedule::cadence::{Cadence, When};
use crate::schedule::settings::{Confirm, Zone};
use crate::store::settings::StoreSettings;

/// The plan that `documents` make together. It is fit for use only when no error is among `problems`.
pub(super) fn compose(documents: &[Document], problems: &mut Problems) -> Plan {
    let sections = Sections::gather(documents, problems);
    let agent: AgentSettings = sections.agent.map(|section| read_lone(section, problems)).unwrap_or_default();
    let store: StoreSettings = sections.store.map(|section| read_lone(section, problems)).unwrap_or_default();
    let defaults: DefaultsSettings = sections.defaults.map(|section| read_lone(section, problems)).unwrap_or_default();
    if let Some(Section { value, .. }) = sections.agent {
        check_caps(value, &agent, problems);
    }
    if let Some(Section { value, .. }) = sections.defaults {
        check_times(value, defaults.every, defaults.timeout, defaults.confirm, problems);
    }
    let mut topology = Topology::default();
    for spot in sections.services {
        match collect(spot.document, spot.node, problems) {
            Ok(settings) => topology.declare(spot, settings, problems),
            Err(_) => topology.miss(),
        }
    }
    topology.check_dependencies(problems);
    let labels = agent.labels.with(&defaults.labels);
    let mut composer = Composer { defaults, labels, topology, names: HashMap::new(), problems };
    let probes: Vec<_> = sections.probes.into_iter().filter_map(|spot| composer.probe(spot)).collect();
    if let Some(Section { value, .. }) = sections.agent {
        check_budget(value, &agent, &probes, composer.problems);
    }
    Plan { agent, store, services: composer.topology.into_services(), probes, warnings: Problems::default() }
}

/// A top-level entry.
#[derive(Clone, Copy)]
struct Section<'a> {
    key: Spot<'a>,
    value: Spot<'a>,
}

/// The entries of all files by their top-level key.
#[derive(Default)]
struct Sections<'a> {
    agent: Option<Section<'a>>,
    store: Option<Section<'a>>,
    defaults: Option<Section<'a>>,
    services: Vec<Spot<'a>>,
    probes: Vec<Spot<'a>>,
}

impl<'a> Sections<'a> {
    fn gather(documents: &'a [Document], problems: &mut Problems) -> Self {
        let mut sections = Self::default();
        for document in documents {
            let Some(node) = document.tree().root() else { continue };
            let root = Spot { document, node };
            match root.value() {
                Value::Mapping => root.entries().into_iter().for_each(|(key, value)| {
                    sections.take(Section { key, value }, problems);
                }),
                // An empty file, or one whose lines are all comments.
                Value::Scalar(scalar) if scalar.is_null() => {}
                Value::Broken => {}
                value => {
                    let message = format!("expected a mapping at the top of the file, got {}", root.describe());
                    let hint = if matches!(value, Value::Sequence(_)) {
                        "a list of probes goes below `probes:`".to_owned()
                    } else {
                        format!("its keys are {}", suggest::all(KEYS))
                    };
                    problems.add(root.problem(message).hint(hint));
                }
            }
        }
        sections
    }

    fn take(&mut self, section: Section<'a>, problems: &mut Problems) {
        let key = section.key;
        match key.text() {
            "agent" => section.only(&mut self.agent, problems),
            "store" => section.only(&mut self.store, problems),
            "defaults" => section.only(&mut self.defaults, problems),
            "services" => section.list(&mut self.services, problems),
            "probes" => section.list(&mut self.probes, problems),
            name if name.starts_with("x-") => {}
            name if LATER.contains(&name) => {
                let problem = key.problem(format!("`{name}` is not supported by this version yet"));
                problems.add(problem.hint(format!("remove it; this version reads {}", suggest::all(KEYS))));
            }
            name => {
                let problem = key.problem(format!("unknown key {}", key.quoted()));
                problems.add(problem.maybe_hint(suggest::hint(name, KEYS)));
            }
        }
    }
}

impl<'a> Section<'a> {
    /// Takes the section's one place.
    fn only(self, place: &mut Option<Self>, problems: &mut Problems) {
        match place {
            Some(first) => {
                let name = self.key.quoted();
                let problem = self.key.problem(format!("{name} is given twice; it may stand once across all files"));
                problems.add(problem.hint(format!("it is first given at {}; merge the two", first.key.shown())));
            }
            None => *place = Some(self),
        }
    }

    /// Adds the elements of a list. A key without a value has none.
    fn list(self, elements: &mut Vec<Spot<'a>>, problems: &mut Problems) {
        match self.value.value() {
            Value::Sequence(_) => elements.extend(self.value.elements()),
            Value::Scalar(scalar) if scalar.is_null() => {}
            Value::Broken => {}
            _ => {
                let problem = self.key.problem(format!("expected a list, got {}", self.value.describe()));
                problems.add(problem.hint("begin each entry with `- `"));
            }
        }
    }
}

/// Reads a section that stands once. A key without a value says nothing.
fn read_lone<'a, T: Deserialize<'a> + Default>(section: Section<'a>, problems: &mut Problems) -> T {
    if section.value.is_null() {
        return T::default();
    }
    let Spot { document, node } = section.value;
    collect(document, node, problems).or_else(|rest| rest.ok_or(())).unwrap_or_default()
}

/// Makes planned probes of settings, one after the other.
struct Composer<'a, 'p> {
    defaults: DefaultsSettings,
    /// The agent's and the defaults'.
    labels: Labels,
    topology: Topology<'a>,
    names: HashMap<Name, Spot<'a>>,
    problems: &'p mut Problems,
}

impl<'a> Composer<'a, '_> {
    /// `None` when something is wrong with it; the problems say what.
    fn probe(&mut self, spot: Spot<'a>) -> Option<PlannedProbe> {
        let (mut settings, is_whole) = match collect::<ProbeSettings>(spot.document, spot.node, self.problems) {
            Ok(settings) => (settings, true),
            Err(rest) => (rest?, false),
        };
        let errors = self.problems.errors();
        self.check_keys(spot);
        if let Some(name) = &settings.name {
            self.check_name(name, spot);
        }
        if let Some(surface) = &settings.surface {
            self.topology.watch(surface, spot.field("surface"), self.problems);
        }
        check_times(spot, settings.every, settings.timeout, settings.confirm, self.problems);
        let labels = self.labels.with(&settings.labels);
        if labels.len() > MAX_LABELS {
            let message = format!("with those of `agent` and `defaults`, the probe has {} labels", labels.len());
            self.problems.add(spot.key("labels").problem(message).hint(format!("the most is {MAX_LABELS}")));
        }
        let spec = settings.take_spec();
        let pace = spec.as_ref().map(Spec::pace).unwrap_or_default();
        if pace.is_paid && settings.confirm.is_some() {
            let problem = spot.key("confirm").problem("`confirm` would pay for a second job whenever one fails");
            self.problems.add(problem.hint("remove it; a failed job counts at once"));
        }
        let cadence = self.cadence(&mut settings, pace);
        if !is_whole {
            return None;
        }
        for (path, message) in spec.iter().flat_map(Spec::conflicts) {
            self.problems.add(type_key(spot, path).problem(message));
        }
        if self.problems.errors() > errors {
            return None;
        }
        Some(PlannedProbe {
            labels,
            cadence,
            spec: spec?,
            name: settings.name?,
            surface: settings.surface?,
            origin: spot.origin(),
        })
    }

    fn cadence(&self, settings: &mut ProbeSettings, pace: Pace) -> Cadence {
        let defaults = &self.defaults;
        let (every, timeout) = (pace.every.map(HumanDuration), pace.timeout.map(HumanDuration));
        let when = match settings.cron.take() {
            Some(expression) => {
                let zone = settings.timezone.take().or_else(|| defaults.timezone.clone());
                When::Cron { expression, zone: zone.map_or(TimeZone::UTC, |Zone(zone)| zone) }
            }
            None => When::Every(settings.every.or(every).or(defaults.every).map_or(EVERY, HumanDuration::get)),
        };
        Cadence {
            when,
            timeout: settings.timeout.or(timeout).or(defaults.timeout).map_or(TIMEOUT, HumanDuration::get),
            overlap: settings.overlap.or(defaults.overlap.filter(|_| !pace.is_paid)).unwrap_or_default(),
            confirm: settings.confirm.or(defaults.confirm).filter(|_| !pace.is_paid),
            first_look: !pace.is_paid,
        }
    }

    /// Keys that must be there, that must be alone, or that need each other.
    fn check_keys(&mut self, spot: Spot<'a>) {
        for key in ["name", "surface"] {
            match spot.entry(key) {
                None => self.problems.add(spot.problem(format!("this probe lacks the key `{key}`"))),
                Some((key, value)) if value.is_null() => {
                    self.problems.add(key.problem(format!("{} has no value", key.quoted())));
                }
                Some(_) => {}
            }
        }
        if let (Some(_), Some((cron, _))) = (spot.filled("every"), spot.filled("cron")) {
            let problem = cron.problem("a probe has `every` or `cron`, not both");
            self.problems.add(problem.hint("remove one of the two"));
        }
        if let (Some((zone, _)), None) = (spot.filled("timezone"), spot.entry("cron")) {
            let problem = zone.problem("`timezone` means nothing without `cron`");
            self.problems.add(problem.hint("remove it, or say with `cron` when the probe runs"));
        }
        check_type(spot, ProbeSettings::TYPES, ProbeSettings::COMMON, self.problems);
    }

    fn check_name(&mut self, name: &Name, spot: Spot<'a>) {
        match self.names.entry(name.clone()) {
            Entry::Occupied(first) => {
                let name = spot.field("name");
                let problem = name.problem(format!("the probe name {} is taken", name.quoted()));
                let hint = format!("it is first used at {}; names are unique across all files", first.get().shown());
                self.problems.add(problem.hint(hint));
            }
            Entry::Vacant(free) => {
                free.insert(spot.field("name"));
            }
        }
    }
}

/// Exactly one key must name the probe's type, and have a value.
fn check_type(spot: Spot<'_>, types: &[&str], common: &[&str], problems: &mut Problems) {
    let entries = spot.entries();
    let mut given = entries.iter().filter(|(key, _)| types.contains(&key.text()));
    let Some((first, value)) = given.next() else {
        // An unknown key has been reported, and is probably the type with a typing mistake.
        if entries.iter().all(|(key, _)| common.contains(&key.text())) {
            let hint = format!("say what it does: {}", suggest::one_of(types));
            problems.add(spot.problem("this probe has no type").hint(hint));
        }
        return;
    };
    if value.is_null() {
        let hint = format!("indent its settings below `{}:`", first.text());
        problems.add(first.problem(format!("{} has no settings", first.quoted())).hint(hint));
    }
    for (other, _) in given {
        let message = format!("this probe has two types, {} and {}", first.quoted(), other.quoted());
        problems.add(other.problem(message).hint("make a probe of each"));
    }
}

/// The key that a dotted path below the probe's type leads to, as far as it is written.
fn type_key<'a>(spot: Spot<'a>, path: &str) -> Spot<'a> {
    let entries = spot.entries();
    let Some((mut key, mut value)) = entries.into_iter().find(|(key, _)| ProbeSettings::TYPES.contains(&key.text()))
    else {
        return spot;
    };
    for name in path.split('.') {
        let Some(entry) = value.entry(name) else { break };
        (key, value) = entry;
    }
    key
}

/// Spans that make no sense, wherever they stand.
fn check_times(
    spot: Spot<'_>,
    every: Option<HumanDuration>,
    timeout: Option<HumanDuration>,
    confirm: Option<Confirm>,
    problems: &mut Problems,
) {
    let mut check = |key: &str, span: Option<HumanDuration>, least: Duration, most: Duration| {
        let Some(HumanDuration(span)) = span else { return };
        let bound = if span < least {
            format!("at least {}", HumanDuration(least))
        } else if span > most {
            format!("at most {}", HumanDuration(most))
        } else {
            return;
        };
        let value = spot.field(key);
        problems.add(value.problem(format!("`{key}` must be {bound}, got {}", value.describe())));
    };
    check("every", every, Duration::from_millis(100), DAY * 366);
    check("timeout", timeout, Duration::from_millis(10), DAY);
    if confirm.is_some_and(|confirm| !(1..=10).contains(&confirm.times)) {
        let value = spot.field("confirm").field("times");
        problems.add(value.problem(format!("`times` must be from 1 to 10, got {}", value.describe())));
    }
}

fn check_caps(spot: Spot<'_>, agent: &AgentSettings, problems: &mut Problems) {
    for (key, cap) in [("concurrency", agent.concurrency), ("per_host", agent.per_host)] {
        if cap == 0 {
            let problem = spot.field(key).problem(format!("`{key}` must be at least 1"));
            problems.add(problem.hint("with 0, nothing would ever run"));
        }
    }
}

/// A budget that binds nobody is probably a misunderstanding.
fn check_budget(spot: Spot<'_>, agent: &AgentSettings, probes: &[PlannedProbe], problems: &mut Problems) {
    let units: Vec<_> = probes.iter().flat_map(|probe| probe.spec.settings()).map(|(_, unit)| unit).collect();
    for unit in agent.budget.keys().filter(|unit| !units.contains(unit)) {
        let problem =
            spot.field("budget").key(unit).problem(format!("no probe spends `{unit}`, so this limits nothing"));
        let hint = format!("the probes' budgets are in {}; a probe without `budget` is not counted", or_none(&units));
        problems.add(problem.warning().hint(hint));
    }
}

fn or_none(units: &[String]) -> String {
    let mut units: Vec<_> = units.iter().map(|unit| format!("`{unit}`")).collect();
    units.sort_unstable();
    units.dedup();
    if units.is_empty() { "no unit at all".to_owned() } else { units.join(", ") }
}

impl Spot<'_> {
    /// The entry with this key, unless its value is null.
    fn filled(self, key: &str) -> Option<(Self, Self)> {
        self.entry(key).filter(|(_, value)| !value.is_null())
    }

    fn origin(self) -> Origin {
        Origin { file: self.document.name().clone(), line: self.document.tree().place(self.node).line }
    }
}

/// The top-level keys of this version.
const KEYS: &[&str] = &["agent", "store", "services", "defaults", "probes"];
/// Top-level keys of the public contract that later versions bring.
const LATER: &[&str] = &["verdict", "page", "feeds", "crowd", "notify", "blackbox"];

const DAY: Duration = Duration::from_secs(86_400);
const EVERY: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::yaml::Source;
    use super::*;

    /// The problems of a probe with these keys, where `dns` and `http` are types.
    fn type_problems(yaml: &str) -> Vec<String> {
        let source = Source { name: "a.yml".into(), folder: PathBuf::new(), bytes: yaml.as_bytes().to_vec() };
        let mut problems = Problems::default();
        let document = Document::read(source, &|_| None, &mut problems).unwrap();
        let spot = Spot { document: &document, node: document.tree().root().unwrap() };
        check_type(spot, &["dns", "http"], &["name"], &mut problems);
        problems.into_sorted().into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn a_probe_has_one_type() {
        assert_eq!(type_problems("{name: a, http: {}}"), Vec::<String>::new());
        assert_eq!(type_problems("{name: a}"), ["this probe has no type"]);
        assert_eq!(type_problems("{name: a, htpp: {}}"), Vec::<String>::new(), "the unknown key says it");
        assert_eq!(type_problems("{name: a, http: {}, dns: {}}"), ["this probe has two types, `http` and `dns`"]);
        assert_eq!(type_problems("{name: a, http: }"), ["`http` has no settings"]);
    }
}
