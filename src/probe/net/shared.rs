//! What probers share so that ten thousand of them stay small: resolvers, TLS clients, trust roots, expressions.
//!
//! Made anew for each plan, so that a reload sees a changed `/etc/resolv.conf` and changed trust roots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;

use super::certificate::Chains;
use super::resolve::Resolver;
use super::settings::{Resolve, Tls};
use super::tls::TlsClient;
use crate::base::clock::Clock;
use crate::model::outcome::Failure;
use crate::probe::api::pool::Pools;
use crate::probe::generation::desk::Desk;
use crate::probe::pattern::Regexes;

/// Resources shared by the probers of one plan.
pub struct Shared {
    /// Compiled expressions.
    pub regexes: Regexes,
    /// Connections that wait for their next request.
    pub pools: Pools,
    /// Outstanding jobs, which outlive the plan.
    pub desk: Arc<Desk>,
    /// Wall time.
    pub clock: Clock,
    resolvers: Mutex<HashMap<Resolve, Arc<Resolver>>>,
    tls: Mutex<HashMap<TlsKey, Usable>>,
    provider: Arc<CryptoProvider>,
    roots: OnceLock<Arc<RootCertStore>>,
    chains: Arc<Chains>,
}

/// Settings and application protocols.
type TlsKey = (Tls, Vec<&'static [u8]>);

/// A TLS client, or why the settings give none.
pub type Usable = Result<Arc<TlsClient>, Failure>;

impl Shared {
    /// Nothing shared yet; each thing is made when a prober first asks for it.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::with_desk(clock, Arc::default())
    }

    /// As [`Self::new`], with the desk at which jobs are followed.
    #[must_use]
    pub fn with_desk(clock: Clock, desk: Arc<Desk>) -> Self {
        Self {
            desk,
            regexes: Regexes::default(),
            pools: Pools::default(),
            clock,
            resolvers: Mutex::default(),
            tls: Mutex::default(),
            provider: Arc::new(provider()),
            roots: OnceLock::new(),
            chains: Arc::default(),
        }
    }

    /// The resolver for these settings.
    pub fn resolver(&self, settings: &Resolve) -> Arc<Resolver> {
        let mut known = self.resolvers.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(settings.clone()).or_insert_with(|| Arc::new(Resolver::new(settings))))
    }

    /// The TLS client for these settings and application protocols.
    ///
    /// # Errors
    /// A failure of reason `config`, for the prober to report at each attempt.
    pub fn tls(&self, settings: &Tls, alpn: &[&'static [u8]]) -> Usable {
        let mut known = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (settings.clone(), alpn.to_vec());
        known.entry(key).or_insert_with(|| self.tls_client(settings, alpn)).clone()
    }

    fn tls_client(&self, settings: &Tls, alpn: &[&'static [u8]]) -> Usable {
        let roots = self.roots.get_or_init(|| Arc::new(trusted_roots()));
        // The first random bytes cost tens of milliseconds (the generator gathers entropy), which no handshake is to be
        // charged with. A generator that fails will say so in the handshake.
        let _ = self.provider.secure_random.fill(&mut [0; 32]);
        TlsClient::new(settings, alpn, roots, &self.provider, Arc::clone(&self.chains)).map(Arc::new)
    }
}

/// rustls' usual cryptography, asking for ciphers in the order of browsers (and of Go): AES-128 first, so that a peer
/// that follows its client picks what it picks for users.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let is_later = |suite: &rustls::SupportedCipherSuite| {
        let name = suite.suite().as_str().unwrap_or_default();
        (!name.contains("TLS13"), !name.contains("AES_128"))
    };
    provider.cipher_suites.sort_by_key(is_later);
    provider
}

/// The system's trust roots; Mozilla's, built in, where the system has none (a bare container).
fn trusted_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!(ignored, "this system has no trusted certificates; using Mozilla's, as built in");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}
