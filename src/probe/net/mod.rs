//! The timed network phases that probe types share: resolve, connect, tls.
//!
//! Each phase is entered on the attempt's timeline before it starts, so that a deadline knows which one it hit. Nothing
//! here speaks a protocol above TLS.

pub mod settings;

/// Looking up the name.
pub const RESOLVE: &str = "resolve";
/// Opening the TCP connection.
pub const CONNECT: &str = "connect";
/// The TLS handshake, with the check of the certificate.
pub const TLS: &str = "tls";
