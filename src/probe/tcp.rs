//! The `tcp` probe: does a port accept connections, with TLS if asked for, and does it say what it should.
//!
//! One question and one reply at most. A dialogue of several turns, or a protocol of its own, wants its own probe type.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Host;

use super::ProbeType;
use super::attempt::{Attempted, Order, Prober, Running};
use super::net::resolve::Resolver;
use super::net::settings::{Resolve, Tls};
use super::net::shared::{Shared, Usable};
use super::net::stream::Stream;
use super::net::tls::certificate_name;
use super::net::{self, dial};
use super::pattern::Pattern;
use super::timeline::Timeline;
use crate::base::bounded::printable;
use crate::base::duration::{HumanDuration, shown};
use crate::base::many::Many;
use crate::base::parse::from_text;
use crate::base::secret::{Scrubber, Text};
use crate::model::measure::{Kind, Measure, Metric, Series};
use crate::model::outcome::Failure;
use crate::model::reason::Reason;

/// One TCP connection, with TLS if asked for, and the reply that comes over it.
///
/// Without `send` and without a rule about the reply, an open connection (and a finished handshake) is all that is
/// asked for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tcp {
    /// Where to connect, as `host:port`.
    pub address: HostPort,
    /// How the name becomes an address.
    #[serde(default)]
    pub resolve: Resolve,
    /// Speaks TLS right after connecting, and checks the certificate. Write `tls: {}` for the usual way.
    pub tls: Option<Tls>,
    /// What to send once the connection is open; nothing unless given.
    pub send: Option<Text>,
    /// What must hold, or the attempt failed.
    #[serde(default)]
    pub expect: Rules,
    /// What should hold, or the attempt is degraded.
    #[serde(default)]
    pub warn: Rules,
}

/// Rules about a connection and its reply. All that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// The reply contains each of these. Read until it does, or the peer closes, or 64KiB have come.
    pub contains: Many<Text>,
    /// Each of these expressions matches somewhere in the reply. Read as for `contains`.
    pub matches: Many<Pattern>,
    /// The longest the whole attempt may take.
    pub within: Option<HumanDuration>,
}

impl Rules {
    fn want_reply(&self) -> bool {
        !(self.contains.is_empty() && self.matches.is_empty())
    }

    /// The first thing about the reply that does not hold.
    fn missing(&self, reply: &str, shared: &Shared) -> Option<String> {
        let matches =
            |pattern: &Pattern| shared.regexes.compiled(pattern).is_some_and(|regex| regex.is_match(reply.as_bytes()));
        let text = self.contains.iter().find(|part| !reply.contains(part.expose()));
        let text = text.map(|part| format!("to contain `{}`", printable(part.shown(), 100)));
        text.or_else(|| {
            let pattern = self.matches.iter().find(|pattern| !matches(pattern))?;
            Some(format!("to match {}", printable(pattern.as_str(), 100)))
        })
    }

    fn breach(&self, reply: &str, took: Duration, shared: &Shared) -> Option<Failure> {
        if let Some(wanted) = self.missing(reply, shared) {
            let got =
                if reply.is_empty() { "nothing came".to_owned() } else { format!("got `{}`", printable(reply, 80)) };
            return Some(Failure::new(Reason::Assertion, format!("expected the reply {wanted}, {got}")));
        }
        let limit = self.within.filter(|limit| took > limit.get())?;
        Some(Failure::new(Reason::Slow, format!("it took {}, expected {limit} at most", shown(took))))
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: Host<String>,
    port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "expected `host:port`, such as `db.example:5432` or `[2001:db8::7]:5432`".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Self { host: Host::parse(host).map_err(|_| wrong())?, port })
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, "an address such as `db.example:5432`")
    }
}

impl JsonSchema for HostPort {
    fn schema_name() -> Cow<'static, str> {
        "HostPort".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A host name or address, and a port.",
            "pattern": ":[0-9]+$|\\$\\{",
            "examples": ["db.example:5432"],
        })
    }
}

impl ProbeType for Tcp {
    fn kind() -> &'static Kind {
        &KIND
    }

    fn conflicts(&self) -> Vec<(&'static str, String)> {
        self.tls.iter().filter_map(Tls::conflict).map(|message| ("tls", message)).collect()
    }

    fn host(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn prober(self: &Arc<Self>, shared: &Arc<Shared>) -> Arc<dyn Prober> {
        let mut scrubber = Scrubber::default();
        self.send.iter().chain(self.expect.contains.iter()).for_each(|text| scrubber.hide_text(text));
        Arc::new(TcpProber {
            settings: Arc::clone(self),
            resolver: shared.resolver(&self.resolve),
            tls: self.tls.as_ref().map(|tls| shared.tls(tls, &[])),
            shared: Arc::clone(shared),
            scrubber,
        })
    }
}

struct TcpProber {
    settings: Arc<Tcp>,
    resolver: Arc<Resolver>,
    tls: Option<Usable>,
    shared: Arc<Shared>,
    scrubber: Scrubber,
}

impl TcpProber {
    async fn run(&self, timeline: &mut Timeline) -> Attempted {
        let mut stream = self.open(timeline).await?;
        let Tcp { expect, warn, .. } = &*self.settings;
        let mut reply = String::new();
        if self.settings.send.is_some() || expect.want_reply() || warn.want_reply() {
            timeline.enter(REPLY);
            reply = self.talk(&mut stream).await?;
            timeline.leave(printable(&reply, 80));
        }
        let took = timeline.elapsed();
        match expect.breach(&reply, took, &self.shared) {
            Some(failure) => Err(failure),
            None => Ok(warn.breach(&reply, took, &self.shared)),
        }
    }

    async fn open(&self, timeline: &mut Timeline) -> Result<Stream, Failure> {
        let HostPort { host, port } = &self.settings.address;
        let borrowed = match host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        let address = self.resolver.address(borrowed.clone(), true, timeline).await?;
        let tcp = dial::connect(SocketAddr::new(address, *port), timeline).await?;
        let Some(tls) = &self.tls else { return Ok(Stream::plain(tcp, MAX_REPLY)) };
        let name = certificate_name(&borrowed)?;
        let now = self.shared.clock.now().as_second();
        let stream = tls.as_ref().map_err(Clone::clone)?.handshake(tcp, name, true, now, timeline).await?;
        Ok(Stream::tls(stream, MAX_REPLY))
    }

    /// Sends what is to be sent and reads until the rules about the reply hold, or no more comes.
    async fn talk(&self, stream: &mut Stream) -> Result<String, Failure> {
        if let Some(send) = &self.settings.send {
            stream.write_all(send.expose().as_bytes()).await.map_err(|error| dial::broken("sending", &error))?;
            stream.flush().await.map_err(|error| dial::broken("sending", &error))?;
        }
        let Tcp { expect, warn, .. } = &*self.settings;
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            let reply = String::from_utf8_lossy(&bytes);
            let holds = expect.missing(&reply, &self.shared).is_none() && warn.missing(&reply, &self.shared).is_none();
            if holds || bytes.len() as u64 >= MAX_REPLY {
                return Ok(reply.into_owned());
            }
            match stream.read(&mut piece).await {
                Ok(0) => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) => return Err(dial::broken("waiting for the reply", &error)),
            }
        }
    }
}

impl Prober for TcpProber {
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

/// From sending (or from the open connection) to the end of the reply.
const REPLY: &str = "reply";
const MAX_REPLY: u64 = 64 * 1024;

static KIND: Kind = Kind {
    name: "tcp",
    about: "One TCP connection, with TLS if asked for, and the reply that comes over it.",
    phases: &[net::RESOLVE, net::CONNECT, net::TLS, REPLY],
    measures: &MEASURES,
    facts: &net::CONNECTION_FACTS,
    series: &[
        Series::phase(&PHASES, net::RESOLVE),
        Series::phase(&PHASES, net::CONNECT),
        Series::phase(&PHASES, net::TLS),
        Series::phase(&PHASES, REPLY),
        net::ADDRESS_SERIES[0],
        net::ADDRESS_SERIES[1],
        net::ADDRESS_SERIES[2],
        net::CERTIFICATE_SERIES,
    ],
    infos: &net::TLS_INFOS,
};

static MEASURES: [Measure; 3] = [net::ADDRESS_MEASURES[0], net::ADDRESS_MEASURES[1], net::CERTIFICATE_MEASURE];

static PHASES: Metric = Metric::gauge(
    "probe_tcp_duration_seconds",
    "Time taken by each phase of the connection; a phase that was not entered is absent.",
);

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::base::clock::Clock;
    use crate::model::outcome::Outcome;
    use crate::model::result::{Identity, ProbeResult, Trigger};
    use crate::probe::attempt;

    fn settings(address: &str, send: Option<&str>, expect: Rules) -> Tcp {
        let address = address.parse().unwrap();
        Tcp {
            address,
            resolve: Resolve::default(),
            tls: None,
            send: send.map(Text::plain),
            expect,
            warn: Rules::default(),
        }
    }

    fn contains(text: &str) -> Rules {
        Rules { contains: vec![Text::plain(text)].into(), ..Rules::default() }
    }

    async fn probe(settings: Tcp) -> ProbeResult {
        let clock = Clock::system();
        let prober = Arc::new(settings).prober(&Arc::new(Shared::new(clock.clone())));
        let identity =
            Identity { probe: "t".parse().unwrap(), surface: "s/db".parse().unwrap(), region: "here".into() };
        let timeout = Duration::from_millis(500);
        let order =
            Order { identity, trigger: Trigger::Demand, scheduled_at: clock.now(), lag: Duration::ZERO, timeout };
        attempt::make(&*prober, order, &clock).await
    }

    /// A peer that waits for `hello` and answers `reply`, then closes.
    async fn peer(reply: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            stream.write_all(reply.as_bytes()).await.unwrap();
        });
        address
    }

    fn reason(result: &ProbeResult) -> Reason {
        result.outcome.failure().unwrap().reason
    }

    #[tokio::test]
    async fn an_open_port_is_enough_unless_more_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let result = probe(settings(&address, None, Rules::default())).await;
        assert_eq!(result.outcome, Outcome::Ok);
        assert!(result.findings.phase(net::CONNECT).is_some());
        assert_eq!(result.findings.phase(REPLY), None);
        drop(listener);
        assert_eq!(reason(&probe(settings(&address, None, Rules::default())).await), Reason::Connect);
    }

    #[tokio::test]
    async fn the_reply_is_read_and_judged() {
        let ask = |address: String| settings(&address, Some("hello"), contains("ready"));
        let result = probe(ask(peer("220 ready\r\n").await)).await;
        assert_eq!(result.outcome, Outcome::Ok);
        assert!(result.findings.phase(REPLY).is_some());
        let result = probe(ask(peer("554 no\u{1b}[31m").await)).await;
        let failure = result.outcome.failure().unwrap();
        assert_eq!(failure.reason, Reason::Assertion);
        assert_eq!(failure.detail, "expected the reply to contain `ready`, got `554 no\\u{1b}[31m`");
    }

    #[tokio::test]
    async fn a_silent_peer_is_a_timeout_in_the_reply() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let result = probe(settings(&address, None, contains("220"))).await;
        let failure = result.outcome.failure().unwrap();
        assert_eq!(failure.reason, Reason::Timeout);
        assert!(failure.detail.contains("in phase reply"), "{}", failure.detail);
    }

    #[test]
    fn addresses_read_and_print() {
        for text in ["db.example:5432", "127.0.0.1:80", "[::1]:443"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for text in ["db.example", ":80", "db:0", "db:99999", "a b:1", "::1:80x"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
