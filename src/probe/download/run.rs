//! The `download` prober: finds the address, fetches the file, and judges what came.

use std::sync::Arc;
use std::time::Duration;

use super::kind::{KIND, LOCATE, LONGEST_STALL};
use super::locate::{address, follow};
use super::transfer::{self, Fetched, Terms};
use super::{Download, Mode};
use crate::base::bounded::printable;
use crate::base::duration::HumanDuration;
use crate::base::secret::Scrubber;
use crate::model::measure::Kind;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::Caller;
use crate::probe::attempt::{Attempted, Order, Prober, Running};
use crate::probe::media::MediaRules;
use crate::probe::net::shared::Shared;
use crate::probe::timeline::Timeline;

/// Makes the attempts of one `download` probe.
pub struct DownloadProber {
    settings: Arc<Download>,
    caller: Caller,
    shared: Arc<Shared>,
    scrubber: Scrubber,
}

impl DownloadProber {
    /// A prober by these settings.
    #[must_use]
    pub fn new(settings: Arc<Download>, shared: &Arc<Shared>) -> Self {
        let calls: Vec<_> = settings.from.iter().filter_map(super::locate::Locate::call).collect();
        let mut scrubber = Scrubber::default();
        for call in &calls {
            call.hide(&mut scrubber);
        }
        settings.url.iter().for_each(|url| scrubber.hide_text(url.text()));
        settings.headers.0.iter().for_each(|(_, text)| scrubber.hide_text(text));
        let caller = Caller::new(&settings.connection(), calls.first(), shared);
        Self { caller, shared: Arc::clone(shared), scrubber, settings }
    }

    async fn run(&self, order: &Order, timeline: &mut Timeline) -> Attempted {
        let Download { url, from, headers, .. } = &*self.settings;
        let (mut values, mut base) = Default::default();
        if !from.is_empty() {
            timeline.enter(LOCATE);
            (values, base) = follow(from, &self.caller, &self.shared.regexes, order.timeout).await?;
        }
        let address = address(url.as_ref(), &mut values, base.as_ref())?;
        let own_origin = url.as_ref().and_then(super::Template::origin);
        let headers = self.caller.headers(headers, own_origin.as_ref(), None, &address)?;
        let terms = self.terms();
        let fetched = transfer::fetch(&self.caller, address, headers, &terms, &self.shared.clock, timeline).await?;
        self.judge(&fetched, timeline)
    }

    fn terms(&self) -> Terms<'_> {
        let Download { mode, max_bytes, expect, warn, media, .. } = &*self.settings;
        Terms {
            mode: *mode,
            max_bytes: *max_bytes,
            stall: expect.stall.map_or(STALL, HumanDuration::get),
            hash: *mode == Mode::Full && (expect.sha256.is_some() || warn.sha256.is_some()),
            inspect: media.is_some(),
            decode: media.as_ref().and_then(|media| media.decode),
            accept: expect.status.as_deref().unwrap_or_default(),
        }
    }

    fn judge(&self, fetched: &Fetched, timeline: &Timeline) -> Attempted {
        let Download { expect, warn, media, .. } = &*self.settings;
        let gap = timeline.findings().measure(LONGEST_STALL).map(Duration::from_secs_f64);
        let took = timeline.elapsed();
        if let Some(failure) = expect.status_breach(fetched) {
            return Err(failure);
        }
        if !fetched.is_file {
            return Ok(warn.status_breach(fetched));
        }
        if fetched.total == Some(0) && expect.size.is_none() {
            return Err(Failure::new(Reason::NoOutput, "the file has 0 bytes"));
        }
        if let Some(failure) = media_breach(media.as_ref(), fetched).or_else(|| expect.breach(fetched, gap, took)) {
            return Err(failure);
        }
        let blemish = warn.status_breach(fetched).or_else(|| warn.breach(fetched, gap, took));
        Ok(blemish.or_else(|| misnamed(fetched)))
    }
}

/// What is wrong with the file itself.
pub(in crate::probe) fn media_breach(rules: Option<&MediaRules>, fetched: &Fetched) -> Option<Failure> {
    rules.zip(fetched.media.as_ref()).and_then(|(rules, media)| rules.breach(media, fetched.total))
}

/// A file that plays and is called something else: browsers cope, other players may not.
pub(in crate::probe) fn misnamed(fetched: &Fetched) -> Option<Failure> {
    let (media, got) = fetched.media.as_ref().zip(fetched.content_type.as_deref())?;
    if media.container.fits(got) {
        return None;
    }
    let right = media.container.content_types().first().copied().unwrap_or_default();
    let detail = format!("the file is called {}, and is {right} by its first bytes", printable(got, 60));
    Some(Failure::new(Reason::Assertion, detail))
}

impl Prober for DownloadProber {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn attempt<'prober>(&'prober self, order: &'prober Order, timeline: &'prober mut Timeline) -> Running<'prober> {
        Box::pin(self.run(order, timeline))
    }

    fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }
}

/// The longest that nothing may come, unless the settings say otherwise.
pub(in crate::probe) const STALL: Duration = Duration::from_secs(10);
