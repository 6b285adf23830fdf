//! Where a file lies, and one request for it: by GET, as it is, without compression.
//!
//! Never asks with HEAD: a signed address is signed for GET. Judges only what makes every byte of an answer useless.

use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderName, HeaderValue};
use url::Url;

use super::kind::URL_TIME_LEFT;
use super::signed::expiry;
use crate::base::clock::Clock;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::caller::{Caller, Header, Live};
use crate::probe::api::pool::Pool;
use crate::probe::http::decode::Coding;
use crate::probe::http::request::{Blueprint, Parts};
use crate::probe::timeline::Timeline;

/// Headers that go with each request for the file.
pub type OwnHeaders = Vec<Header>;

/// A file behind an address.
pub struct Target<'probe> {
    /// Who asks.
    pub caller: &'probe Caller,
    /// Where it lies.
    pub url: Url,
    /// What is sent along.
    pub headers: OwnHeaders,
    /// By which a signed address is found to hold.
    pub clock: &'probe Clock,
}

impl Target<'_> {
    /// Asks for the file with `more` headers, and gives back the answer's head with the connection. With a `pool`, the
    /// connection may come from there, and may be kept there.
    ///
    /// # Errors
    /// A [`Failure`] when no answer came, or one in a coding that was not asked for.
    pub async fn ask(
        &self,
        more: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        pool: Option<&Pool>,
        timeline: &mut Timeline,
    ) -> Result<Live, Failure> {
        self.note_expiry(&self.url, timeline);
        let mut headers = self.headers.clone();
        headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity"), false));
        headers.extend(more.into_iter().map(|(name, value)| (name, value, false)));
        let parts = Parts { method: Method::GET, url: self.url.clone(), headers, content: None, close: pool.is_none() };
        let live = self.caller.open_from(&Blueprint::of(parts), pool, timeline).await?;
        // A redirect usually leads to an address that was signed just now.
        self.note_expiry(&live.url, timeline);
        if matches!(live.reply.head.status.as_u16(), 200 | 206) {
            as_it_is(&live)?;
        }
        Ok(live)
    }

    fn note_expiry(&self, url: &Url, timeline: &mut Timeline) {
        if let Some(at) = expiry(url) {
            timeline.measure(URL_TIME_LEFT, at.duration_since(self.clock.now()).as_secs_f64());
        }
    }
}

/// A file that comes compressed has other lengths and other ranges than the file itself.
fn as_it_is(live: &Live) -> Result<(), Failure> {
    let coded = live.reply.head.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    match Coding::named(coded)? {
        Coding::Identity => Ok(()),
        coding => {
            let detail = format!("the file came compressed as {coding:?}, though it was asked for as it is (identity)");
            Err(Failure::new(Reason::Protocol, detail))
        }
    }
}
