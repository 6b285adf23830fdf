//! Services and their surfaces: which exist, and what depends on what.
//!
//! Checks names and references. Knows no probe, except that where nothing is declared, the surfaces that probes watch
//! are all there is.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::problem::Problems;
use super::settings::ServiceSettings;
use super::spot::Spot;
use super::suggest::nearest;
use crate::model::name::{Name, SurfaceRef};

/// Something that users call by one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name, unique.
    pub name: Name,
    /// Its name for people.
    pub title: String,
    /// Its parts, in the order they were declared.
    pub surfaces: Vec<Surface>,
}

/// A part of a service that users can tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surface {
    /// Its name, unique within the service.
    pub name: Name,
    /// Its name for people.
    pub title: String,
    /// What it cannot work without. Never leads back to the surface itself.
    pub depends_on: Vec<SurfaceRef>,
}

/// The services of a configuration while they are put together.
#[derive(Default)]
pub(super) struct Topology<'a> {
    services: Vec<Service>,
    names: HashMap<Name, (usize, Spot<'a>)>,
    surfaces: HashMap<SurfaceRef, Spot<'a>>,
    /// Who depends on whom, and where that is said, in the order it is.
    dependencies: Vec<(SurfaceRef, SurfaceRef, Spot<'a>)>,
    is_declared: bool,
    /// True when a declaration could not be read, so that a name that is missing may be its.
    is_patchy: bool,
}

impl<'a> Topology<'a> {
    /// Notes a declaration that could not be read whole.
    pub(super) fn miss(&mut self) {
        (self.is_declared, self.is_patchy) = (true, true);
    }

    /// Takes in a declaration that was read whole.
    pub(super) fn declare(&mut self, spot: Spot<'a>, settings: ServiceSettings, problems: &mut Problems) {
        self.is_declared = true;
        let ServiceSettings { name, title, surfaces } = settings;
        match self.names.entry(name.clone()) {
            Entry::Occupied(first) => {
                let name = spot.field("name");
                let problem = name.problem(format!("the service {} is declared twice", name.quoted()));
                problems.add(problem.hint(format!("it is declared at {}; merge the two", first.get().1.shown())));
                return self.miss();
            }
            Entry::Vacant(free) => free.insert((self.services.len(), spot)),
        };
        if surfaces.is_empty() {
            let shown = spot.field("name").quoted();
            let problem = spot.field("surfaces").problem(format!("the service {shown} has no surface"));
            problems.add(problem.hint("give it at least one, for example `surfaces: [{name: web}]`"));
        }
        let mut kept = Vec::with_capacity(surfaces.len());
        for (settings, spot) in surfaces.into_iter().zip(spot.field("surfaces").elements()) {
            let own = SurfaceRef { service: name.clone(), surface: settings.name.clone() };
            if let Some(first) = self.surfaces.get(&own) {
                let name = spot.field("name");
                let problem = name.problem(format!("the surface {} is declared twice", name.quoted()));
                problems.add(problem.hint(format!("it is declared at {}", first.shown())));
                continue;
            }
            let targets: Vec<_> = settings.depends_on.into_iter().map(|one| one.of(&name)).collect();
            for (target, spot) in targets.iter().zip(spot.field("depends_on").elements()) {
                self.dependencies.push((own.clone(), target.clone(), spot));
            }
            self.surfaces.insert(own, spot);
            let title = settings.title.unwrap_or_else(|| settings.name.to_string());
            kept.push(Surface { title, name: settings.name, depends_on: targets });
        }
        self.services.push(Service { title: title.unwrap_or_else(|| name.to_string()), name, surfaces: kept });
    }

    /// Checks what a probe watches; where nothing is declared, declares it.
    pub(super) fn watch(&mut self, surface: &SurfaceRef, spot: Spot<'a>, problems: &mut Problems) {
        if self.is_declared {
            self.require(surface, spot, problems);
        } else if let Entry::Vacant(free) = self.surfaces.entry(surface.clone()) {
            free.insert(spot);
            let index = match self.names.entry(surface.service.clone()) {
                Entry::Occupied(known) => known.get().0,
                Entry::Vacant(free) => {
                    let name = surface.service.clone();
                    let index = free.insert((self.services.len(), spot)).0;
                    self.services.push(Service { title: name.to_string(), name, surfaces: Vec::new() });
                    index
                }
            };
            let name = surface.surface.clone();
            if let Some(service) = self.services.get_mut(index) {
                service.surfaces.push(Surface { title: name.to_string(), name, depends_on: Vec::new() });
            }
        }
    }

    /// Checks that dependencies lead somewhere and not in circles.
    pub(super) fn check_dependencies(&self, problems: &mut Problems) {
        for (_, target, spot) in &self.dependencies {
            self.require(target, *spot, problems);
        }
        for cycle in self.cycles() {
            let names: Vec<_> = cycle.iter().chain(cycle.first()).map(|(from, _)| from.to_string()).collect();
            let Some((_, spot)) = cycle.first() else { continue };
            let problem = spot.problem(format!("`depends_on` leads in a circle: {}", names.join(" → ")));
            problems.add(problem.hint("remove one of these dependencies"));
        }
    }

    /// The services, in the order they were declared.
    pub(super) fn into_services(self) -> Vec<Service> {
        self.services
    }

    fn require(&self, surface: &SurfaceRef, spot: Spot<'a>, problems: &mut Problems) {
        if self.is_patchy || self.surfaces.contains_key(surface) {
            return;
        }
        let problem = spot.problem(format!("the surface {} is not declared", spot.quoted()));
        problems.add(problem.hint(self.declaration_hint(surface, spot)));
    }

    fn declaration_hint(&self, surface: &SurfaceRef, spot: Spot<'a>) -> String {
        let wanted = surface.to_string();
        let mut known: Vec<_> = self.surfaces.keys().map(ToString::to_string).collect();
        known.sort_unstable();
        // A name that came from outside is not repeated in a guess.
        let is_written = spot.text().ends_with(surface.surface.as_str());
        if let Some(near) = nearest(&wanted, known.iter().map(String::as_str)).filter(|_| is_written) {
            return format!("did you mean `{near}`?");
        }
        match self.names.get(&surface.service).and_then(|(index, _)| self.services.get(*index)) {
            Some(service) => {
                let names: Vec<_> = service.surfaces.iter().map(|surface| surface.name.as_str()).collect();
                format!("the service `{}` declares {}", service.name, super::suggest::all(&names))
            }
            None => "declare its service under `services`, with this surface".to_owned(),
        }
    }

    /// Circles of dependencies: each member with the place where it says what it depends on. Where circles share
    /// members, one of them.
    fn cycles(&self) -> Vec<Vec<(&SurfaceRef, Spot<'a>)>> {
        let stuck = self.stuck();
        let mut next = HashMap::new();
        for (from, to, spot) in self.dependencies.iter().filter(|(_, to, _)| stuck.contains(to)) {
            next.entry(from).or_insert((to, *spot));
        }
        let (mut cycles, mut walked) = (Vec::new(), HashSet::new());
        for (start, ..) in self.dependencies.iter().filter(|(from, ..)| stuck.contains(from)) {
            let (mut path, mut position, mut at) = (Vec::new(), HashMap::new(), start);
            while walked.insert(at) {
                let Some((to, spot)) = next.get(at) else { break };
                position.insert(at, path.len());
                path.push((at, *spot));
                at = to;
            }
            if let Some(first) = position.get(at) {
                cycles.push(path.split_off(*first));
            }
        }
        cycles
    }

    /// The surfaces that depend, at whatever distance, on a circle: what remains when surfaces that depend on nothing
    /// are taken away, again and again.
    fn stuck(&self) -> HashSet<&SurfaceRef> {
        let mut waiting: HashMap<&SurfaceRef, usize> = HashMap::new();
        let mut dependents: HashMap<&SurfaceRef, Vec<&SurfaceRef>> = HashMap::new();
        for (from, to, _) in self.dependencies.iter().filter(|(_, to, _)| self.surfaces.contains_key(to)) {
            *waiting.entry(from).or_default() += 1;
            dependents.entry(to).or_default().push(from);
        }
        let mut free: Vec<_> = self.surfaces.keys().filter(|surface| !waiting.contains_key(surface)).collect();
        while let Some(surface) = free.pop() {
            for dependent in dependents.get(surface).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(dependent) {
                    *count -= 1;
                    if *count == 0 {
                        waiting.remove(dependent);
                        free.push(dependent);
                    }
                }
            }
        }
        waiting.into_keys().collect()
    }
}
