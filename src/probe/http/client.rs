//! Opens connections that speak HTTP, as the settings say, for whoever sends requests on them.
//!
//! Follows no redirect, keeps no connection and judges nothing.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use url::Url;

use super::Version;
use super::exchange::Connection;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::net::dial;
use crate::probe::net::resolve::Resolver;
use crate::probe::net::settings::{Resolve, Tls};
use crate::probe::net::shared::{Shared, Usable};
use crate::probe::net::stream::Stream;
use crate::probe::net::tls::certificate_name;
use crate::probe::timeline::Timeline;

/// Opens connections by one set of settings.
pub struct Client {
    resolver: Arc<Resolver>,
    shared: Arc<Shared>,
    settings: Tls,
    version: Version,
    tls: OnceLock<Usable>,
}

impl Client {
    /// A client by these settings.
    #[must_use]
    pub fn new(resolve: &Resolve, tls: &Tls, version: Version, shared: &Arc<Shared>) -> Self {
        Self {
            resolver: shared.resolver(resolve),
            shared: Arc::clone(shared),
            settings: tls.clone(),
            version,
            tls: OnceLock::new(),
        }
    }

    /// Makes ready what TLS needs: reading the trust roots takes milliseconds that no attempt is to be charged with.
    pub fn prepare_tls(&self) {
        let _ = self.tls();
    }

    /// Opens a connection to where `url` leads. `is_same_host` says whether the configured pin and server name apply.
    ///
    /// # Errors
    /// A [`Failure`] of the phase that failed: `resolve`, `connect`, `tls`; `protocol` without the wanted HTTP version.
    pub async fn open(&self, url: &Url, is_same_host: bool, timeline: &mut Timeline) -> Result<Connection, Failure> {
        let nowhere = || Failure::new(Reason::Redirect, "the address names no host");
        let host = url.host().ok_or_else(nowhere)?;
        let port = url.port_or_known_default().ok_or_else(nowhere)?;
        let is_secure = url.scheme() == "https";
        let address = self.resolver.address(host.clone(), is_same_host, timeline).await?;
        let tcp = dial::connect(SocketAddr::new(address, port), timeline).await?;
        let stream = if is_secure {
            let name = certificate_name(&host)?;
            let now = self.shared.clock.now().as_second();
            let tls = self.tls().as_ref().map_err(Clone::clone)?;
            Stream::tls(tls.handshake(tcp, name, is_same_host, now, timeline).await?, HEADROOM)
        } else {
            Stream::plain(tcp, HEADROOM)
        };
        let http2 = match self.version {
            Version::Auto => stream.chose_http2(),
            Version::Http1 => false,
            Version::Http2 => true,
        };
        if http2 && is_secure && !stream.chose_http2() {
            return Err(Failure::new(Reason::Protocol, "the peer does not offer HTTP/2 in the TLS handshake (ALPN)"));
        }
        Connection::start(stream, http2).await
    }

    fn tls(&self) -> &Usable {
        self.tls.get_or_init(|| {
            let alpn: &[&'static [u8]] = match self.version {
                Version::Auto => &[b"h2", b"http/1.1"],
                Version::Http1 => &[b"http/1.1"],
                Version::Http2 => &[b"h2"],
            };
            self.shared.tls(&self.settings, alpn)
        })
    }
}

/// Room for the answer's headers and framing beside its body.
const HEADROOM: u64 = 512 * 1024;
