//! From a host to the one address that the attempt will use.
//!
//! No cache of its own and none in the resolver, so that the time of a lookup is the time a new user would wait.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use url::Host;

use super::RESOLVE;
use super::dial::is_ours;
use super::settings::{DnsServer, Family, Resolve, Via};
use crate::base::bounded::printable;
use crate::base::hash::fnv1a_32;
use crate::model::outcome::Failure;
use crate::model::reason::{Blame, Reason};
use crate::probe::timeline::Timeline;

/// Turns hosts into addresses, as the settings say.
pub struct Resolver {
    family: Family,
    pin: Option<IpAddr>,
    via: Lookup,
}

enum Lookup {
    Dns(Box<TokioResolver>),
    System,
    /// The resolver could not be set up; each attempt says why.
    Broken(String),
}

impl Resolver {
    /// A resolver by these settings. Reads `/etc/resolv.conf` and `/etc/hosts` unless servers are named.
    #[must_use]
    pub fn new(settings: &Resolve) -> Self {
        let via = match settings.via {
            Via::System => Lookup::System,
            Via::Dns => match dns(&settings.server, settings.family) {
                Ok(resolver) => Lookup::Dns(Box::new(resolver)),
                Err(error) => Lookup::Broken(format!("cannot set up the resolver: {error}")),
            },
        };
        Self { family: settings.family, pin: settings.pin.map(|pin| pin.0), via }
    }

    /// The address to use for `host`; notes the family and the address on the timeline, and the phase if there is a name
    /// to look up.
    ///
    /// `pinned` says whether the configured pin applies to this host.
    ///
    /// # Errors
    /// A [`Failure`] of reason `dns`; `config` if the address is not of the wanted family; `agent` if there is no
    /// resolver.
    pub async fn address(&self, host: Host<&str>, pinned: bool, timeline: &mut Timeline) -> Result<IpAddr, Failure> {
        let address = match (self.pin.filter(|_| pinned), host) {
            (Some(pin), _) => pin,
            (None, Host::Ipv4(address)) => IpAddr::V4(address),
            (None, Host::Ipv6(address)) => IpAddr::V6(address),
            (None, Host::Domain(name)) => self.resolved(name, timeline).await?,
        };
        if !self.family.admits(&address) {
            let wanted = wanted(self.family);
            let detail = format!("{address} is not an {wanted} address, which is what resolve.family asks for");
            return Err(Failure::new(Reason::Config, detail));
        }
        timeline.measure(super::IP_PROTOCOL, if address.is_ipv4() { 4.0 } else { 6.0 });
        timeline.measure(super::IP_HASH, f64::from(address_hash(address)));
        Ok(address)
    }

    /// Looks the name up, which is the phase.
    async fn resolved(&self, name: &str, timeline: &mut Timeline) -> Result<IpAddr, Failure> {
        timeline.enter(RESOLVE);
        let found = self.lookup(name).await?;
        let count = found.len();
        let address = choose(found, self.family).ok_or_else(|| {
            let detail = format!("`{}` has no {} address", printable(name, 253), wanted(self.family));
            Failure::new(Reason::Dns, detail)
        })?;
        timeline.leave(if count > 1 { format!("{address} (1 of {count} addresses)") } else { address.to_string() });
        Ok(address)
    }

    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        match &self.via {
            Lookup::Dns(resolver) => {
                let found = resolver.lookup_ip(name).await.map_err(|error| dns_failure(name, self.family, &error))?;
                Ok(found.iter().collect())
            }
            Lookup::System => {
                let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| system_failure(name, &error))?;
                Ok(found.map(|address| address.ip()).collect())
            }
            Lookup::Broken(why) => Err(Failure::new(Reason::Agent, why.clone())),
        }
    }
}

/// The first address of the family, or with [`Family::Any`] the first IPv6 one if there is a route, else IPv4.
///
/// A family that this machine has no route to says nothing about the target, so it is passed over; a family that has a
/// route and does not answer is a fault that must be seen, so there is no second try. This machine itself is asked over
/// IPv4: much of what listens on `localhost` does so there only.
fn choose(found: Vec<IpAddr>, family: Family) -> Option<IpAddr> {
    let admitted: Vec<_> = found.into_iter().filter(|address| family.admits(address)).collect();
    let v6 = admitted.iter().find(|address| address.is_ipv6());
    let v4 = admitted.iter().find(|address| address.is_ipv4());
    match (v6, v4) {
        (Some(v6), Some(v4)) => Some(if has_route(*v6) && !v4.is_loopback() { *v6 } else { *v4 }),
        (one, other) => one.or(other).copied(),
    }
}

/// Asks the kernel for a route without sending anything: connecting a datagram socket only looks it up.
fn has_route(address: IpAddr) -> bool {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((address, 53))).is_ok()
}

fn dns(servers: &[DnsServer], family: Family) -> Result<TokioResolver, NetError> {
    let mut builder = if servers.is_empty() {
        TokioResolver::builder_tokio()?
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let options = builder.options_mut();
    tune(options, family);
    if !servers.is_empty() {
        // Whoever names a server wants to know what that server says.
        options.use_hosts_file = ResolveHosts::Never;
    }
    builder.build()
}

fn name_server(server: &DnsServer) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.0.port();
        connection
    });
    NameServerConfig::new(server.0.ip(), true, connections.into())
}

fn tune(options: &mut ResolverOpts, family: Family) {
    options.cache_size = 0;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_max_ttl = Some(Duration::ZERO);
    // A dead resolver must be told as that, before the usual timeout of an attempt (10 s) hides it. Within each of the
    // two tries a lost packet is sent again.
    options.timeout = PATIENCE;
    options.attempts = 1;
    // Each lookup stands for one user's; the default of 32 at once would make probes wait for each other.
    options.max_active_requests = 4096;
    options.ip_strategy = match family {
        Family::Any => LookupIpStrategy::Ipv4AndIpv6,
        Family::Ipv4 => LookupIpStrategy::Ipv4Only,
        Family::Ipv6 => LookupIpStrategy::Ipv6Only,
    };
}

fn dns_failure(name: &str, family: Family, error: &NetError) -> Failure {
    let (name, wanted) = (printable(name, 253), wanted(family));
    let about = |detail: String, blame| Failure::new(Reason::Dns, detail).blaming(blame);
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => about(format!("`{name}` does not exist (NXDOMAIN)"), Blame::Target),
            ResponseCode::NoError => about(format!("`{name}` exists and has no {wanted} address"), Blame::Target),
            code => about(format!("the resolver answered {code} for `{name}`"), Blame::Path),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => {
            about(format!("the resolver answered {code} for `{name}`"), Blame::Path)
        }
        NetError::Timeout => about(format!("no resolver answered for `{name}`"), Blame::Path),
        // The resolver keeps the cause to itself: ask the machine whether it could open a socket at all.
        NetError::NoConnections | NetError::Io(_) => match no_socket() {
            Some(ours) => Failure::new(Reason::Agent, format!("cannot open a socket to look up `{name}`: {ours}")),
            None => about(format!("no resolver could be reached for `{name}`: {error}"), Blame::Path),
        },
        NetError::Busy => about(format!("too many lookups at once; `{name}` was not looked up"), Blame::Agent),
        error => about(format!("cannot look up `{name}`: {}", printable(&error.to_string(), 200)), Blame::Path),
    }
}

/// Why this machine can open no socket, if that is so.
fn no_socket() -> Option<std::io::Error> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err().filter(is_ours)
}

/// The C library tells its kinds of failure apart in words only.
fn system_failure(name: &str, error: &std::io::Error) -> Failure {
    let text = error.to_string();
    let blame = if text.contains("not known") || text.contains("No address") { Blame::Target } else { Blame::Path };
    let text = text.trim_start_matches("failed to lookup address information: ");
    let (name, text) = (printable(name, 253), printable(text, 200));
    Failure::new(Reason::Dns, format!("cannot look up `{name}`: {text}")).blaming(blame)
}

const fn wanted(family: Family) -> &'static str {
    match family {
        Family::Any => "IP",
        Family::Ipv4 => "IPv4",
        Family::Ipv6 => "IPv6",
    }
}

/// As `blackbox_exporter`'s `probe_ip_addr_hash`: FNV-1a over the address's 4 or 16 bytes.
fn address_hash(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => fnv1a_32(&address.octets()),
        IpAddr::V6(address) => fnv1a_32(&address.octets()),
    }
}

/// How long a try of a lookup waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_address_of_the_wanted_family() {
        let both = || addresses(&["127.0.0.1", "::1", "127.0.0.2"]);
        assert_eq!(choose(both(), Family::Ipv4), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(choose(both(), Family::Ipv6), Some("::1".parse().unwrap()));
        assert_eq!(choose(addresses(&["127.0.0.1"]), Family::Ipv6), None);
        assert_eq!(choose(addresses(&["127.0.0.1"]), Family::Any), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(choose(both(), Family::Any), Some("127.0.0.1".parse().unwrap()), "this machine, over IPv4");
        assert_eq!(choose(addresses(&["::1"]), Family::Any), Some("::1".parse().unwrap()));
    }

    #[test]
    fn a_family_without_a_route_is_passed_over() {
        // 2001:db8::/32 is for documentation (RFC 3849); where this machine has a default IPv6 route, it routes too.
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        let expected: IpAddr = if has_route(address) { address } else { "192.0.2.1".parse().unwrap() };
        assert_eq!(choose(addresses(&["2001:db8::1", "192.0.2.1"]), Family::Any), Some(expected));
    }
}
