//! The `http` prober: opens connections, follows redirects, and hands the final answer to the judge.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::LOCATION;
use hyper::http::response::Parts;
use rustls::pki_types::ServerName;
use url::{Position, Url};

use super::exchange::{Answer, Broken, Connection, content_length, version_name};
use super::judge::{self, Breach, Evidence};
use super::kind::{
    BODY_BYTES, CONTENT_LENGTH, FAILED_DUE_TO_REGEX, FINAL_URL, HTTP_VERSION, HTTPS, KIND, LAST_MODIFIED, PROTOCOL,
    REDIRECTS, STATUS,
};
use super::request::Order;
use super::rules::StatusRange;
use super::{Http, Version};
use crate::base::bounded::printable;
use crate::base::clock::{Timestamp, unix_seconds};
use crate::base::secret::Scrubber;
use crate::model::measure::Kind;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::attempt::{Attempted, Prober, Running};
use crate::probe::net::resolve::Resolver;
use crate::probe::net::shared::{Shared, Usable};
use crate::probe::net::stream::Stream;
use crate::probe::net::{CERTIFICATE_EXPIRY, TLS_KEYS, dial};
use crate::probe::timeline::Timeline;

/// Makes the attempts of one `http` probe.
pub struct HttpProber {
    settings: Http,
    resolver: Arc<Resolver>,
    shared: Arc<Shared>,
    tls: OnceLock<Usable>,
    scrubber: Scrubber,
    /// The connection kept for the next attempt, if that was asked for.
    kept: Mutex<Option<Connection>>,
}

impl HttpProber {
    /// A prober by these settings.
    #[must_use]
    pub fn new(settings: Http, shared: &Arc<Shared>) -> Self {
        let scrubber = super::request::scrubber(&settings);
        let resolver = shared.resolver(&settings.resolve);
        Self { settings, resolver, shared: Arc::clone(shared), tls: OnceLock::new(), scrubber, kept: Mutex::default() }
    }

    async fn run(&self, timeline: &mut Timeline) -> Attempted {
        let mut order = Order::first(&self.settings);
        let mut visited = Vec::new();
        loop {
            let answer = self.hop(&order, timeline).await?;
            let Some(location) = self.redirect(&answer.head) else {
                return self.conclude(&order, &answer, visited.len(), timeline);
            };
            visited.push((order.method.clone(), order.url.clone()));
            let next = order.redirected(&answer.head, location)?;
            timeline.note("redirect", format!("{} to {}", answer.head.status.as_u16(), without_query(&next.url)));
            if visited.len() > usize::from(self.settings.max_redirects) {
                let most = self.settings.max_redirects;
                return Err(Failure::new(
                    Reason::Redirect,
                    format!("more than {most} redirects, which is max_redirects"),
                ));
            }
            if visited.iter().any(|(method, url)| *method == next.method && *url == next.url) {
                let place = without_query(&next.url);
                return Err(Failure::new(Reason::Redirect, format!("redirects go round in a circle, back to {place}")));
            }
            order = next;
        }
    }

    /// Where the answer redirects to, if redirects are followed at all.
    fn redirect<'head>(&self, head: &'head Parts) -> Option<&'head [u8]> {
        let is_redirect = matches!(head.status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let location = head.headers.get(LOCATION).filter(|_| is_redirect && self.settings.max_redirects > 0)?;
        Some(location.as_bytes())
    }

    async fn hop(&self, order: &Order, timeline: &mut Timeline) -> Result<Answer, Failure> {
        if let Some(mut connection) = self.take_kept(order).await {
            match self.exchange(&mut connection, order, timeline).await {
                Ok(answer) => {
                    self.keep(connection, order);
                    return Ok(answer);
                }
                Err(Broken::Failed(failure)) => return Err(failure),
                Err(Broken::Stale) => timeline.note("reconnect", "the kept connection had been closed"),
            }
        }
        let mut connection = self.open(order, timeline).await?;
        match self.exchange(&mut connection, order, timeline).await {
            Ok(answer) => {
                self.keep(connection, order);
                Ok(answer)
            }
            Err(Broken::Failed(failure)) => Err(failure),
            Err(Broken::Stale) => {
                Err(Failure::new(Reason::Network, "the connection was closed by the peer before the request was sent"))
            }
        }
    }

    async fn exchange(
        &self,
        connection: &mut Connection,
        order: &Order,
        timeline: &mut Timeline,
    ) -> Result<Answer, Broken> {
        let request = order.request(&self.settings, connection.is_http2()).map_err(Broken::Failed)?;
        let Http { expect, warn, max_body, .. } = &self.settings;
        let wanted = judge::wants_body(expect) || judge::wants_body(warn);
        let keep = |head: &Parts| wanted && self.redirect(head).is_none();
        connection.exchange(request, *max_body, keep, timeline).await
    }

    /// Opens a fresh connection to where the order goes.
    async fn open(&self, order: &Order, timeline: &mut Timeline) -> Result<Connection, Failure> {
        let nowhere = || Failure::new(Reason::Redirect, "the address names no host");
        let host = order.url.host().ok_or_else(nowhere)?;
        let port = order.url.port_or_known_default().ok_or_else(nowhere)?;
        let at_home = order.is_at_home;
        timeline.forget(TLS_KEYS);
        let address = self.resolver.address(host, at_home, timeline).await?;
        let tcp = dial::connect(SocketAddr::new(address, port), timeline).await?;
        let limit = self.settings.max_body.0.saturating_add(HEADROOM);
        let stream = if order.url.scheme() == "https" {
            let name = order.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                Failure::new(Reason::Tls, format!("`{}` cannot be a certificate's name", printable(name, 253)))
            })?;
            let now = self.shared.clock.now().as_second();
            let tls = self.tls().as_ref().map_err(Clone::clone)?;
            Stream::tls(tls.handshake(tcp, name, at_home, now, timeline).await?, limit)
        } else {
            Stream::plain(tcp, limit)
        };
        let http2 = match self.settings.version {
            Version::Auto => stream.chose_http2(),
            Version::Http1 => false,
            Version::Http2 => true,
        };
        Connection::start(stream, http2).await
    }

    fn tls(&self) -> &Usable {
        self.tls.get_or_init(|| {
            let alpn: &[&'static [u8]] = match self.settings.version {
                Version::Auto => &[b"h2", b"http/1.1"],
                Version::Http1 => &[b"http/1.1"],
                Version::Http2 => &[b"h2"],
            };
            self.shared.tls(&self.settings.tls, alpn)
        })
    }

    /// The kept connection, if there is one, it leads where the order goes, and it still lives.
    async fn take_kept(&self, order: &Order) -> Option<Connection> {
        if !(self.settings.reuse_connection && order.is_first) {
            return None;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        kept.is_ready().await.then_some(kept)
    }

    fn keep(&self, connection: Connection, order: &Order) {
        if self.settings.reuse_connection && order.is_first {
            *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        }
    }

    fn conclude(&self, order: &Order, answer: &Answer, redirects: usize, timeline: &mut Timeline) -> Attempted {
        record(order, answer, redirects, timeline);
        let expiry = timeline.findings().measure(CERTIFICATE_EXPIRY);
        #[expect(clippy::cast_possible_truncation, reason = "the measure was made from whole seconds")]
        let expiry = expiry.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        let evidence = Evidence {
            head: &answer.head,
            body: &answer.body.bytes,
            size: answer.body.size,
            https: order.url.scheme() == "https",
            certificate_expiry: expiry,
            took: timeline.elapsed(),
            first_byte: answer.first_byte.saturating_duration_since(timeline.started()),
            now: self.shared.clock.now(),
        };
        let broken = judge::breaches(&self.settings.expect, &[StatusRange::SUCCESS], &evidence, &self.shared.regexes);
        timeline.measure(FAILED_DUE_TO_REGEX, f64::from(broken.first().is_some_and(|breach| breach.by_regex)));
        if let Some(failure) = summed_up("expect", broken, timeline) {
            return Err(failure);
        }
        let weak = judge::breaches(&self.settings.warn, &[], &evidence, &self.shared.regexes);
        Ok(summed_up("warn", weak, timeline))
    }
}

impl Prober for HttpProber {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn attempt<'prober>(&'prober self, timeline: &'prober mut Timeline) -> Running<'prober> {
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

fn record(order: &Order, answer: &Answer, redirects: usize, timeline: &mut Timeline) {
    let head = &answer.head;
    timeline.measure(STATUS, f64::from(head.status.as_u16()));
    #[expect(clippy::cast_precision_loss, reason = "lengths stay exact below 2^53")]
    let length = content_length(&head.headers).map_or(-1.0, |length| length as f64);
    timeline.measure(CONTENT_LENGTH, length);
    #[expect(clippy::cast_precision_loss, reason = "bounded by max_body")]
    timeline.measure(BODY_BYTES, answer.body.size as f64);
    #[expect(clippy::cast_precision_loss, reason = "bounded by max_redirects")]
    timeline.measure(REDIRECTS, redirects as f64);
    timeline.measure(HTTPS, f64::from(order.url.scheme() == "https"));
    timeline.measure(HTTP_VERSION, version_number(head.version));
    timeline.fact(PROTOCOL, version_name(head.version));
    if redirects > 0 {
        timeline.fact(FINAL_URL, &without_query(&order.url));
    }
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
pub(super) fn without_query(url: &Url) -> String {
    printable(&url[..Position::AfterPath], 200)
}

/// What a request is made of, shared with [`super::request`].
pub(super) type Payload = Full<Bytes>;

/// Room for the answer's headers and framing beside its body.
const HEADROOM: u64 = 512 * 1024;
