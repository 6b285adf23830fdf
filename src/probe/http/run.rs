//! The `http` prober: opens connections, follows redirects, and hands the final answer to the judge.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{CONTENT_ENCODING, HeaderValue, LOCATION};
use hyper::http::response::Parts;
use url::{Position, Url};

use super::Http;
use super::client::Client;
use super::decode::{Body, Coding, Whole};
use super::exchange::{Broken, Connection, Reply, content_length, version_name};
use super::judge::{self, Breach, Evidence};
use super::kind::{
    BODY_BYTES, CONTENT_LENGTH, FAILED_DUE_TO_REGEX, FINAL_URL, HTTP_VERSION, HTTPS, KIND, LAST_MODIFIED, PROCESSING,
    PROTOCOL, REDIRECTS, STATUS, TRANSFER,
};
use super::request::{self, Blueprint};
use super::rules::StatusRange;
use crate::base::bounded::printable;
use crate::base::clock::{Timestamp, unix_seconds};
use crate::base::secret::Scrubber;
use crate::model::measure::Kind;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::attempt::{Attempted, Order, Prober, Running};
use crate::probe::net::shared::Shared;
use crate::probe::net::{ADDRESS_KEYS, CERTIFICATE_EXPIRY, TLS_KEYS};
use crate::probe::timeline::{Remembered, Timeline};

/// Makes the attempts of one `http` probe.
pub struct HttpProber {
    settings: Arc<Http>,
    /// What to send; or what is wrong with it, which each attempt then says.
    blueprint: Result<Blueprint, Failure>,
    client: Client,
    shared: Arc<Shared>,
    scrubber: Scrubber,
    /// The connection kept for the next attempt, if that was asked for.
    kept: Mutex<Option<Kept>>,
}

/// A connection that waits for the next attempt, and what is known of it.
struct Kept {
    connection: Connection,
    about: Remembered,
}

/// A request that was answered, up to the answer's head.
struct Hop {
    order: request::Order,
    connection: Connection,
    reply: Reply,
}

impl HttpProber {
    /// A prober by these settings.
    #[must_use]
    pub fn new(settings: Arc<Http>, shared: &Arc<Shared>) -> Self {
        let prober = Self {
            blueprint: Blueprint::new(&settings),
            client: Client::new(&settings.resolve, &settings.tls, settings.version, shared),
            shared: Arc::clone(shared),
            scrubber: request::scrubber(&settings),
            kept: Mutex::default(),
            settings,
        };
        if prober.settings.url.url().scheme() == "https" {
            prober.client.prepare_tls();
        }
        prober
    }

    async fn run(&self, timeline: &mut Timeline) -> Attempted {
        let blueprint = self.blueprint.as_ref().map_err(Clone::clone)?;
        let mut order = request::Order::first(blueprint);
        let mut visited: Vec<(Method, Url)> = Vec::new();
        loop {
            let hop = self.hop(order, blueprint, timeline).await?;
            record_head(&hop, visited.len(), timeline);
            let Some(location) = self.redirect(&hop.reply.head) else {
                return self.conclude(hop, visited.len(), timeline).await;
            };
            let status = hop.reply.head.status;
            let next = hop.order.redirected(status, location)?;
            timeline.leave("");
            timeline.note("redirect", format!("{} to {}", status.as_u16(), without_query(&next.url)));
            visited.push((hop.order.method.clone(), hop.order.url.clone()));
            self.check_redirect(&visited, &next)?;
            self.pass(hop, timeline).await;
            order = next;
        }
    }

    /// Where the answer redirects to, if redirects are followed at all.
    fn redirect<'head>(&self, head: &'head Parts) -> Option<&'head [u8]> {
        let is_redirect = matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = head.headers.get(LOCATION).filter(|_| is_redirect && self.settings.max_redirects > 0)?;
        Some(location.as_bytes())
    }

    fn check_redirect(&self, visited: &[(Method, Url)], next: &request::Order) -> Result<(), Failure> {
        if visited.iter().any(|(method, url)| *method == next.method && *url == next.url) {
            let place = without_query(&next.url);
            return Err(Failure::new(Reason::Redirect, format!("redirects go round in a circle, back to {place}")));
        }
        let most = self.settings.max_redirects;
        if visited.len() > usize::from(most) {
            return Err(Failure::new(Reason::Redirect, format!("more than {most} redirects, which is max_redirects")));
        }
        Ok(())
    }

    /// Sends one request, on the kept connection if there is one.
    async fn hop(&self, order: request::Order, blueprint: &Blueprint, timeline: &mut Timeline) -> Result<Hop, Failure> {
        timeline.forget(ANSWER_KEYS);
        timeline.forget(ADDRESS_KEYS);
        timeline.forget(TLS_KEYS);
        if let Some(mut connection) = self.take_kept(&order, timeline).await {
            match self.send(&mut connection, &order, blueprint, timeline).await {
                Ok(reply) => return Ok(Hop { order, connection, reply }),
                // RFC 9110 §9.2.2: what is idempotent may be sent again, as browsers do.
                Err(Broken::Unanswered(failure)) if !order.method.is_idempotent() => return Err(failure),
                Err(Broken::Failed(failure)) => return Err(failure),
                Err(Broken::Unsent(_) | Broken::Unanswered(_)) => {
                    timeline.leave("the kept connection had been closed");
                    timeline.forget(ADDRESS_KEYS);
                    timeline.forget(TLS_KEYS);
                }
            }
        }
        let mut connection = self.client.open(&order.url, order.is_same_host(), timeline).await?;
        let reply = self.send(&mut connection, &order, blueprint, timeline).await?;
        Ok(Hop { order, connection, reply })
    }

    async fn send(
        &self,
        connection: &mut Connection,
        order: &request::Order,
        blueprint: &Blueprint,
        timeline: &mut Timeline,
    ) -> Result<Reply, Broken> {
        let request = order.request(blueprint, connection.is_http2()).map_err(Broken::Failed)?;
        timeline.enter(PROCESSING);
        connection.send(request, timeline).await
    }

    /// Has done with a redirect. Its body matters to nobody, so it is read only where the connection is to be kept.
    async fn pass(&self, mut hop: Hop, timeline: &mut Timeline) {
        if !(self.settings.reuse_connection && hop.order.is_first) {
            return;
        }
        timeline.enter(TRANSFER);
        if let Ok(body) = Body::new(Coding::Identity, self.settings.max_body, false)
            && hop.connection.receive(&mut hop.reply, body, timeline).await.is_ok()
        {
            self.keep(hop, timeline);
        }
    }

    /// The kept connection, if there is one, it leads where the order goes, and it still lives.
    async fn take_kept(&self, order: &request::Order, timeline: &mut Timeline) -> Option<Connection> {
        if !(self.settings.reuse_connection && order.is_first) {
            return None;
        }
        let Kept { mut connection, about } = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        timeline.enter(PROCESSING);
        if !connection.is_ready().await {
            timeline.leave("the kept connection had been closed");
            return None;
        }
        timeline.recall(&about);
        Some(connection)
    }

    /// Keeps the connection of the attempt's first request for the next attempt. Later ones may lead anywhere.
    fn keep(&self, hop: Hop, timeline: &Timeline) {
        if self.settings.reuse_connection && hop.order.is_first {
            let about = timeline.remember(&[ADDRESS_KEYS, TLS_KEYS].concat());
            let kept = Kept { connection: hop.connection, about };
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        }
    }

    /// Reads the final answer to its end and judges it.
    async fn conclude(&self, mut hop: Hop, redirects: usize, timeline: &mut Timeline) -> Attempted {
        if redirects > 0 {
            timeline.fact(FINAL_URL, &without_query(&hop.order.url));
        }
        let body = match self.body(&mut hop, timeline).await {
            Ok(body) => body,
            Err(failure) => return Err(self.worse(&hop, failure)),
        };
        #[expect(clippy::cast_precision_loss, reason = "bounded by max_body")]
        timeline.measure(BODY_BYTES, body.size as f64);
        let expiry = timeline.findings().measure(CERTIFICATE_EXPIRY);
        #[expect(clippy::cast_possible_truncation, reason = "the measure was made from whole seconds")]
        let expiry = expiry.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        let evidence = Evidence {
            head: &hop.reply.head,
            body: &body.bytes,
            size: body.size,
            limit: self.settings.max_body.0,
            https: hop.order.url.scheme() == "https",
            certificate_expiry: expiry,
            took: timeline.elapsed(),
            first_byte: hop.reply.first_byte.saturating_duration_since(timeline.started()),
            now: self.shared.clock.now(),
        };
        let Http { expect, warn, .. } = &*self.settings;
        let broken = judge::breaches(expect, &[StatusRange::SUCCESS], &evidence, &self.shared.regexes);
        timeline.measure(FAILED_DUE_TO_REGEX, f64::from(broken.first().is_some_and(|breach| breach.by_regex)));
        let weak = judge::breaches(warn, &[], &evidence, &self.shared.regexes);
        self.keep(hop, timeline);
        // What degrades is noted beside what fails, so that a person sees the whole.
        let (broken, weak) = (summed_up("expect", broken, timeline), summed_up("warn", weak, timeline));
        broken.map_or(Ok(weak), Err)
    }

    async fn body(&self, hop: &mut Hop, timeline: &mut Timeline) -> Result<Whole, Failure> {
        let Http { expect, warn, max_body, .. } = &*self.settings;
        let coding = Coding::named(hop.reply.head.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))?;
        let body = Body::new(coding, *max_body, judge::wants_body(expect) || judge::wants_body(warn))?;
        hop.connection.receive(&mut hop.reply, body, timeline).await
    }

    /// A body that broke off tells less than the status before it, where that is bad already.
    fn worse(&self, hop: &Hop, failure: Failure) -> Failure {
        match judge::status_breach(&self.settings.expect, &[StatusRange::SUCCESS], &hop.reply.head) {
            Some(bad) => Failure { detail: format!("{}; also, {}", bad.detail, failure.detail), ..bad },
            None => failure,
        }
    }
}

impl Prober for HttpProber {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn attempt<'prober>(&'prober self, _: &'prober Order, timeline: &'prober mut Timeline) -> Running<'prober> {
        Box::pin(self.run(timeline))
    }

    fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }
}

/// Notes every breach and returns the first, which says how many more there were.
fn summed_up(rules: &'static str, breaches: Vec<Breach>, timeline: &mut Timeline) -> Option<Failure> {
    let more = breaches.len().saturating_sub(1);
    let mut first = None;
    for breach in breaches {
        timeline.note(rules, breach.failure.detail.clone());
        first.get_or_insert(breach.failure);
    }
    first.map(|mut failure| {
        if more > 0 {
            failure.detail = format!("{} (and {more} more)", failure.detail);
        }
        failure
    })
}

/// Notes what the head of an answer says.
fn record_head(hop: &Hop, redirects: usize, timeline: &mut Timeline) {
    let head = &hop.reply.head;
    timeline.measure(STATUS, f64::from(head.status.as_u16()));
    #[expect(clippy::cast_precision_loss, reason = "lengths stay exact below 2^53")]
    let length = content_length(&head.headers).map_or(-1.0, |length| length as f64);
    timeline.measure(CONTENT_LENGTH, length);
    #[expect(clippy::cast_precision_loss, reason = "bounded by max_redirects")]
    timeline.measure(REDIRECTS, redirects as f64);
    timeline.measure(HTTPS, f64::from(hop.order.url.scheme() == "https"));
    timeline.measure(HTTP_VERSION, version_number(head.version));
    timeline.fact(PROTOCOL, version_name(head.version));
    if let Some(at) = judge::last_modified(&head.headers) {
        timeline.measure(LAST_MODIFIED, unix_seconds(at));
    }
}

fn version_number(version: hyper::Version) -> f64 {
    match version {
        hyper::Version::HTTP_10 => 1.0,
        hyper::Version::HTTP_2 => 2.0,
        _ => 1.1,
    }
}

/// An address that may be shown: queries and fragments carry tokens.
#[must_use]
pub fn without_query(url: &Url) -> String {
    printable(&url[..Position::AfterPath], 200)
}

/// What a request is made of, shared with [`super::request`].
pub(super) type Payload = Full<Bytes>;

/// What the head of an answer tells, which the next hop makes stale.
const ANSWER_KEYS: &[&str] = &[STATUS, CONTENT_LENGTH, HTTPS, HTTP_VERSION, LAST_MODIFIED, PROTOCOL];
