//! Opens a TCP connection, and says whose fault it is when that fails.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::{CONNECT, REMOTE};
use crate::base::bounded::printable;
use crate::model::outcome::Failure;
use crate::model::reason::{Blame, Reason};
use crate::probe::timeline::Timeline;

/// Connects to `address`, without delaying small writes.
///
/// # Errors
/// A [`Failure`] of reason `connect`, `network` or `agent`.
pub async fn connect(address: SocketAddr, timeline: &mut Timeline) -> Result<TcpStream, Failure> {
    timeline.enter(CONNECT);
    let connected = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        socket.connect(address).await
    };
    let stream = connected.await.map_err(|error| connect_failure(address, &error))?;
    let remote = address.to_string();
    timeline.fact(REMOTE, &remote);
    timeline.leave(remote);
    Ok(stream)
}

/// What an I/O error after connecting says: the connection broke while `doing` something.
#[must_use]
pub fn broken(doing: &str, error: &io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::ConnectionReset => "the connection was reset by the peer",
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => "the connection was closed by the peer",
        io::ErrorKind::UnexpectedEof => "the connection was closed by the peer too early",
        io::ErrorKind::TimedOut => "the connection went dead",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            return Failure::new(Reason::Network, format!("{doing}: the route to the peer was lost"))
                .blaming(Blame::Path);
        }
        _ => return Failure::new(Reason::Network, format!("{doing}: {}", printable(&error.to_string(), 200))),
    };
    Failure::new(Reason::Network, format!("{doing}: {what}"))
}

fn connect_failure(address: SocketAddr, error: &io::Error) -> Failure {
    let connect = |detail: String, blame| Failure::new(Reason::Connect, detail).blaming(blame);
    if is_ours(error) {
        return Failure::new(Reason::Agent, format!("cannot open a socket: {error}"));
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => connect(
            format!("{address} refused the connection: nothing listens there, or a firewall rejects it"),
            Blame::Target,
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            connect(format!("no route to {address}"), Blame::Path)
        }
        io::ErrorKind::TimedOut => connect(format!("{address} did not answer"), Blame::Target),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Failure::new(Reason::Network, format!("{address} reset the connection as it opened"))
        }
        _ => connect(format!("cannot connect to {address}: {error}"), Blame::Target),
    }
}

/// True when the error says something about this machine only: no file descriptors, no ports, no memory, not allowed.
pub(super) fn is_ours(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::PermissionDenied
    ) || matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blame(kind: io::ErrorKind) -> (Reason, Blame) {
        let failure = connect_failure("127.0.0.1:1".parse().unwrap(), &kind.into());
        (failure.reason, failure.blame)
    }

    #[test]
    fn each_error_blames_the_right_party() {
        assert_eq!(blame(io::ErrorKind::ConnectionRefused), (Reason::Connect, Blame::Target));
        assert_eq!(blame(io::ErrorKind::NetworkUnreachable), (Reason::Connect, Blame::Path));
        assert_eq!(blame(io::ErrorKind::HostUnreachable), (Reason::Connect, Blame::Path));
        assert_eq!(blame(io::ErrorKind::AddrNotAvailable), (Reason::Agent, Blame::Agent));
        let failure = connect_failure("127.0.0.1:1".parse().unwrap(), &io::Error::from_raw_os_error(24));
        assert_eq!(failure.blame, Blame::Agent);
    }
}
