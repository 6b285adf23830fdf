//! The `library` prober: lists, picks, asks for a fresh address, opens.
//!
//! Keeps no address from attempt to attempt: a signed one does not live long, and a stale one proves nothing.

use std::sync::Arc;

use url::Url;

use super::Library;
use super::kind::{ITEM, ITEMS, KIND, LIST, NEWEST, OLDEST, VIDEO};
use super::shelf::{Shelf, Video};
use crate::base::duration::shown;
use crate::base::secret::Scrubber;
use crate::model::measure::Kind;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::Call;
use crate::probe::api::caller::{Called, Caller, Manner};
use crate::probe::api::extract::scalar;
use crate::probe::api::template::Values;
use crate::probe::attempt::{Attempted, Order, Prober, Running};
use crate::probe::download::locate::address;
use crate::probe::download::run::{STALL, media_breach, misnamed};
use crate::probe::download::transfer::{self, Fetched, Terms};
use crate::probe::net::shared::Shared;
use crate::probe::timeline::Timeline;

/// Makes the attempts of one `library` probe.
pub struct LibraryProber {
    settings: Arc<Library>,
    caller: Caller,
    shared: Arc<Shared>,
    scrubber: Scrubber,
}

impl LibraryProber {
    /// A prober by these settings.
    #[must_use]
    pub fn new(settings: Arc<Library>, shared: &Arc<Shared>) -> Self {
        let mut scrubber = Scrubber::default();
        settings.list.hide(&mut scrubber);
        settings.item.iter().for_each(|call| call.hide(&mut scrubber));
        let caller = Caller::new(&settings.connection(), Some(&settings.list), shared);
        Self { caller, shared: Arc::clone(shared), scrubber, settings }
    }

    async fn run(&self, order: &Order, timeline: &mut Timeline) -> Attempted {
        timeline.enter(LIST);
        let listed = self.call(&self.settings.list, &Values::new(), order).await?;
        let videos = Shelf::read(&self.settings, listed.answer.document()?, self.shared.clock.now());
        record(&videos, timeline);
        timeline.leave(format!("{} videos", videos.len()));
        let video = videos.pick(&self.settings)?;
        let url = self.address(&video, &listed.url, order, timeline).await?;
        let terms = self.terms();
        let fetched =
            transfer::fetch(&self.caller, url, Vec::new(), &terms, &self.shared.clock, timeline).await.map_err(told)?;
        self.judge(&fetched, timeline)
    }

    /// A fresh address of `video`, which the list at `base` names.
    async fn address(
        &self,
        video: &Video<'_>,
        base: &Url,
        order: &Order,
        timeline: &mut Timeline,
    ) -> Result<Url, Failure> {
        let Library { id, item, url, .. } = &*self.settings;
        let nowhere = || Failure::new(Reason::NoOutput, format!("a saved video is listed without an address at {url}"));
        let name = video.name(id.as_ref());
        if let Some(name) = &name {
            timeline.fact(VIDEO, name);
        }
        let at = |text: String, base: &Url| {
            address(None, &mut Values::from([("url".to_owned(), text)]), Some(base)).map_err(told)
        };
        let Some(item) = item else {
            return at(video.text(url).ok_or_else(nowhere)?, base);
        };
        let name = name.ok_or_else(|| {
            let place = id.as_ref().map_or_else(|| "$.id".to_owned(), ToString::to_string);
            Failure::new(Reason::NoOutput, format!("a saved video is listed without a name at {place}"))
        })?;
        timeline.enter(ITEM);
        let called = self.call(item, &Values::from([("id".to_owned(), name)]), order).await.map_err(told)?;
        let document = called.answer.document()?;
        let found = url.select(document).into_iter().find(|value| !value.is_null()).and_then(scalar);
        let found = found.filter(|text| !text.is_empty()).ok_or_else(nowhere)?;
        timeline.leave(called.answer.status.to_string());
        at(found, &called.url)
    }

    async fn call(&self, call: &Call, values: &Values, order: &Order) -> Result<Called, Failure> {
        let manner = Manner { inherited: Some(&self.settings.list.headers), ..Manner::alone(order.timeout) };
        let called = self.caller.call(call, values, manner).await?;
        if call.accepts(called.answer.status) { Ok(called) } else { Err(called.answer.refusal(call, &[])) }
    }

    fn terms(&self) -> Terms<'_> {
        let Library { mode, max_bytes, media, .. } = &*self.settings;
        Terms {
            mode: *mode,
            max_bytes: *max_bytes,
            stall: STALL,
            hash: false,
            inspect: true,
            decode: media.decode,
            accept: &[],
        }
    }

    fn judge(&self, fetched: &Fetched, timeline: &Timeline) -> Attempted {
        if let Some(failure) = media_breach(Some(&self.settings.media), fetched) {
            return Err(told(failure));
        }
        let spans = [
            ("listing", timeline.findings().phase(LIST), self.settings.warn.list),
            ("the whole", Some(timeline.elapsed()), self.settings.warn.within),
        ];
        let slow = spans.into_iter().find_map(|(what, took, limit)| {
            let (took, limit) = took.zip(limit)?;
            let detail = format!("{what} took {}, expected {limit} at most", shown(took));
            (took > limit.get()).then(|| Failure::new(Reason::Slow, detail))
        });
        Ok(slow.or_else(|| misnamed(fetched)))
    }
}

impl Prober for LibraryProber {
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

fn record(videos: &Shelf<'_>, timeline: &mut Timeline) {
    #[expect(clippy::cast_precision_loss, reason = "bounded by the videos")]
    timeline.measure(ITEMS, videos.len() as f64);
    if let Some((newest, oldest)) = videos.ages() {
        timeline.measure(NEWEST, newest.as_secs_f64());
        timeline.measure(OLDEST, oldest.as_secs_f64());
    }
}

/// A failure of a video that the library lists.
fn told(mut failure: Failure) -> Failure {
    failure.detail.insert_str(0, "a saved video: ");
    failure
}
