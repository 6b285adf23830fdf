//! Sends calls, and says of a call that failed whether the service may have seen it.
//!
//! What the user wrote into headers and bodies goes to the origin of the first call, to origins that are listed, and to
//! the origin that a call itself names; never to where an answer leads otherwise, and never across a redirect to another
//! host. Sends nothing twice, except what is idempotent and met a connection that had been closed meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use url::{Origin, Url};

use super::answer::Answer;
use super::pool::Pool;
use super::template::{Values, fill_json, fill_text};
use super::{Call, Connection as Settings, MAX_ANSWER};
use crate::base::duration::shown;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::attempt::timed_out;
use crate::probe::http::Headers;
use crate::probe::http::client::Client;
use crate::probe::http::decode::{Body, Coding};
use crate::probe::http::exchange::{Broken, Connection, Reply};
use crate::probe::http::kind::PROCESSING;
use crate::probe::http::request::{Blueprint, Order, Parts};
use crate::probe::http::run::without_query;
use crate::probe::net::shared::Shared;
use crate::probe::timeline::Timeline;

/// Sends the calls of one probe.
pub struct Caller {
    client: Client,
    pool: Arc<Pool>,
    home: Option<Url>,
    trusted: Vec<Origin>,
}

/// An answer, and how it came.
pub struct Called {
    /// The answer.
    pub answer: Answer,
    /// From before the connection to the end of the body.
    pub took: Duration,
    /// How the time was spent, for people.
    pub phases: String,
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// Whether there were any, so that the answer may be another request's.
    pub redirected: bool,
}

/// A call without an answer.
#[derive(Debug)]
pub struct Unanswered {
    /// Why.
    pub failure: Failure,
    /// Whether there was a request at all: false when what answers gave makes none, so that to try again is no use.
    pub made: bool,
    /// Whether the request may have reached the service.
    pub sent: bool,
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        unanswered.failure
    }
}

/// An answer of which the head came, and the connection on which the rest will.
pub struct Live {
    /// The open connection.
    pub connection: Connection,
    /// The answer's head.
    pub reply: Reply,
    /// Where the answer came from, after redirects.
    pub url: Url,
    redirected: bool,
}

impl Live {
    /// Lets the connection wait in `pool` for the next request, if the answer has come to its end; else closes it.
    pub fn keep(self, pool: &Pool) {
        if self.reply.is_over() && !self.redirected {
            pool.keep(&self.url, self.connection);
        }
    }
}

/// How a call is made.
#[derive(Clone, Copy)]
pub struct Manner<'call> {
    /// Headers that it inherits; its own of the same name stand in their place.
    pub inherited: Option<&'call Headers>,
    /// The longest that it may take.
    pub limit: Duration,
    /// Whether a waiting connection may be used and the connection may wait for the next call.
    pub reuse: bool,
    /// The most bytes of answer, unless the call says otherwise.
    pub max_body: ByteSize,
}

impl Manner<'_> {
    /// A call of its own within `limit`.
    #[must_use]
    pub const fn alone(limit: Duration) -> Self {
        Self { inherited: None, limit, reuse: false, max_body: MAX_ANSWER }
    }
}

impl Caller {
    /// A caller by these settings; `first` is the call whose origin may see credentials.
    #[must_use]
    pub fn new(settings: &Settings, first: Option<&Call>, shared: &Arc<Shared>) -> Self {
        let client = Client::new(&settings.resolve, &settings.tls, settings.version, shared);
        let first_url = first.and_then(|call| call.url.literal_url());
        if first_url.as_ref().is_none_or(|url| url.scheme() == "https") {
            client.prepare_tls();
        }
        Self {
            client,
            pool: shared.pools.pool(settings),
            home: first_url,
            trusted: settings.trusted.iter().map(|url| url.url().origin()).collect(),
        }
    }

    /// True when what the user wrote may be sent to where `url` leads.
    #[must_use]
    pub fn trusts(&self, url: &Url) -> bool {
        let origin = url.origin();
        self.home.as_ref().is_some_and(|home| home.origin() == origin) || self.trusted.contains(&origin)
    }

    /// Makes a call and takes its whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Unanswered`] when no whole answer came in time.
    pub async fn call(&self, call: &Call, values: &Values, manner: Manner<'_>) -> Result<Called, Unanswered> {
        let blueprint = self.blueprint(call, values, manner.inherited, manner.reuse);
        let blueprint = blueprint.map_err(|failure| Unanswered { failure, made: false, sent: false })?;
        let mut timeline = Timeline::start();
        let limit = call.limit(manner.limit).min(manner.limit);
        let max_body = call.max_body.unwrap_or(manner.max_body);
        // Boxed, so that a job that waits for its next poll does not hold room for it.
        let answered = Box::pin(self.exchange(&blueprint, max_body, manner.reuse, &mut timeline));
        let answered = tokio::time::timeout(limit, answered).await;
        let failure = match answered {
            Ok(Ok((answer, url, redirected))) => {
                let (took, findings) = timeline.finish();
                let phases = findings.phases.iter().map(|(name, took)| format!("{name} {}", shown(*took)));
                return Ok(Called { answer, took, phases: phases.collect::<Vec<_>>().join(", "), url, redirected });
            }
            Ok(Err(failure)) => failure,
            Err(_) => timed_out(&timeline, limit),
        };
        Err(Unanswered { failure, made: true, sent: timeline.has_entered(PROCESSING) })
    }

    /// The request that a call asks for, with everything filled in.
    ///
    /// # Errors
    /// A [`Failure`] of reason `protocol` when an answer gave too little, or leads where the body must not go; `config`
    /// for a header that HTTP cannot carry.
    pub fn blueprint(
        &self,
        call: &Call,
        values: &Values,
        inherited: Option<&Headers>,
        reuse: bool,
    ) -> Result<Blueprint, Failure> {
        let url = call.url.fill(values)?;
        let content = content(call, values);
        let usual = if content.is_some() { Method::POST } else { Method::GET };
        let method = call.method.as_ref().map_or(usual, |method| method.0.clone());
        let own_origin = call.url.origin();
        if own_origin.is_none() && call.url.text().is_expanded() && !self.trusts(&url) {
            let place = without_query(&url);
            return Err(Failure::new(
                Reason::Protocol,
                format!(
                    "the service's answer leads to {place}; the secret in the address goes there only if `trusted` lists it"
                ),
            ));
        }
        if content.is_some() && !self.trusts(&url) && own_origin.as_ref() != Some(&url.origin()) {
            let place = without_query(&url);
            return Err(Failure::new(
                Reason::Protocol,
                format!(
                    "the service's answer leads to {place}; the request's body goes there only if `trusted` lists it"
                ),
            ));
        }
        let headers = self.headers(&call.headers, own_origin.as_ref(), inherited, &url)?;
        Ok(Blueprint::of(Parts { method, url, headers, content, close: !reuse }))
    }

    /// The headers that may go to where `url` leads: inherited ones to trusted origins, own ones also to the origin that
    /// their call names itself.
    ///
    /// # Errors
    /// A [`Failure`] of reason `config` for a header that HTTP cannot carry.
    pub fn headers(
        &self,
        own: &Headers,
        own_origin: Option<&Origin>,
        inherited: Option<&Headers>,
        url: &Url,
    ) -> Result<Vec<Header>, Failure> {
        let mut headers = Vec::new();
        let is_trusted = self.trusts(url);
        if is_trusted {
            let inherited = inherited.into_iter().flat_map(|headers| headers.0.iter());
            let is_own = |name: &HeaderName| own.0.iter().any(|(own, _)| own == name);
            add(&mut headers, inherited.filter(|(name, _)| *name != CONTENT_TYPE && !is_own(name)))?;
        }
        if is_trusted || own_origin == Some(&url.origin()) {
            add(&mut headers, own.0.iter())?;
        }
        Ok(headers)
    }

    /// Sends a request, follows redirects, and gives back the answer's head with the connection.
    ///
    /// # Errors
    /// A [`Failure`] that says what went wrong.
    pub async fn open(&self, blueprint: &Blueprint, reuse: bool, timeline: &mut Timeline) -> Result<Live, Failure> {
        self.open_from(blueprint, reuse.then_some(&*self.pool), timeline).await
    }

    /// As [`Self::open`], on a connection that waits in `pool` if one does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_from(
        &self,
        blueprint: &Blueprint,
        pool: Option<&Pool>,
        timeline: &mut Timeline,
    ) -> Result<Live, Failure> {
        let mut order = Order::first(blueprint);
        for redirects in 0..=MAX_REDIRECTS {
            let pool = pool.filter(|_| redirects == 0);
            let (connection, reply) = self.hop(&order, blueprint, pool, timeline).await?;
            let status = reply.head.status;
            let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = reply.head.headers.get(LOCATION).filter(|_| is_redirect) else {
                return Ok(Live { connection, reply, url: order.url, redirected: redirects > 0 });
            };
            order = order.redirected(status, location.as_bytes())?;
        }
        Err(Failure::new(Reason::Redirect, format!("more than {MAX_REDIRECTS} redirects")))
    }

    async fn exchange(
        &self,
        blueprint: &Blueprint,
        limit: ByteSize,
        reuse: bool,
        timeline: &mut Timeline,
    ) -> Result<(Answer, Url, bool), Failure> {
        let mut live = self.open(blueprint, reuse, timeline).await?;
        let coded = live.reply.head.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let body = Body::new(Coding::named(coded)?, limit, true)?;
        let whole = live.connection.receive(&mut live.reply, body, timeline).await?;
        if reuse && !live.redirected {
            self.pool.keep(&live.url, live.connection);
        }
        Ok((Answer::new(live.reply.head, whole.bytes.into(), limit.0), live.url, live.redirected))
    }

    /// Sends one request, on a waiting connection if there is one that lives.
    async fn hop(
        &self,
        order: &Order,
        blueprint: &Blueprint,
        pool: Option<&Pool>,
        timeline: &mut Timeline,
    ) -> Result<(Connection, Reply), Failure> {
        while let Some(mut connection) = pool.and_then(|pool| pool.take(&order.url)) {
            if !connection.is_ready().await {
                continue;
            }
            match send(&mut connection, order, blueprint, timeline).await {
                Ok(reply) => return Ok((connection, reply)),
                Err(Broken::Unanswered(failure)) if !order.method.is_idempotent() => return Err(failure),
                Err(Broken::Failed(failure)) => return Err(failure),
                Err(Broken::Unsent(_) | Broken::Unanswered(_)) => {}
            }
        }
        // A pinned address and a server name are those of the first call's host, not of whatever an answer leads to.
        let is_home = self.home.as_ref().is_none_or(|home| home.host() == order.url.host());
        let mut connection = self.client.open(&order.url, is_home && order.is_same_host(), timeline).await?;
        let reply = send(&mut connection, order, blueprint, timeline).await?;
        Ok((connection, reply))
    }
}

async fn send(
    connection: &mut Connection,
    order: &Order,
    blueprint: &Blueprint,
    timeline: &mut Timeline,
) -> Result<Reply, Broken> {
    let request = order.request(blueprint, connection.is_http2()).map_err(Broken::Failed)?;
    timeline.enter(PROCESSING);
    connection.send(request, timeline).await
}

/// A header, and whether it must stay away from other hosts.
pub type Header = (HeaderName, HeaderValue, bool);

fn add<'header>(
    headers: &mut Vec<Header>,
    from: impl Iterator<Item = &'header (HeaderName, crate::base::secret::Text)>,
) -> Result<(), Failure> {
    for (name, text) in from {
        let mut value = HeaderValue::from_str(text.expose())
            .map_err(|_| Failure::new(Reason::Config, format!("header {name} holds what HTTP headers cannot carry")))?;
        value.set_sensitive(text.is_expanded());
        headers.push((name.clone(), value, true));
    }
    Ok(())
}

fn content(call: &Call, values: &Values) -> Option<(Bytes, Option<HeaderValue>)> {
    let typed = |bytes: Bytes, kind: &str| Some((bytes, HeaderValue::from_str(kind).ok()));
    if let Some(json) = &call.json {
        return typed(fill_json(json, values).to_string().into(), "application/json");
    }
    if let Some(form) = &call.form {
        let mut encoded = url::form_urlencoded::Serializer::new(String::new());
        encoded.extend_pairs(form.iter().map(|(key, value)| (key, fill_text(value.expose(), values))));
        return typed(encoded.finish().into(), "application/x-www-form-urlencoded");
    }
    let (body, kind) = call.multipart.as_ref()?.body(values);
    typed(body, &kind)
}

const MAX_REDIRECTS: usize = 5;
