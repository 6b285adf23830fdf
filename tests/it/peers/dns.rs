//! A DNS server on loopback (UDP) that gives the same kind of answer to every question, and counts them.
//!
//! Speaks as much of RFC 1035 as the tests need.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// A DNS server; it ends when it is dropped.
pub(crate) struct Dns {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    questions: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

/// How every question is answered.
#[derive(Debug, Clone)]
pub(crate) enum Says {
    /// With these addresses, as far as the question asks for their family.
    Addresses(Vec<Ipv4Addr>, Vec<Ipv6Addr>),
    /// With this response code and nothing else: 2 is SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Code(u8),
    /// Not at all.
    Nothing,
    /// With these bytes after the question's identifier.
    Garbage(Vec<u8>),
}

impl Dns {
    /// A server that answers so.
    pub(crate) async fn saying(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let mut task = JoinSet::new();
        let count = Arc::clone(&questions);
        task.spawn(async move {
            let mut packet = [0; 1500];
            loop {
                let (length, client) = socket.recv_from(&mut packet).await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(&packet[..length], &says) {
                    socket.send_to(&answer, client).await.unwrap();
                }
            }
        });
        Self { address, questions, _task: task }
    }

    /// A server whose names all have this IPv4 address.
    pub(crate) async fn pointing_to(address: Ipv4Addr) -> Self {
        Self::saying(Says::Addresses(vec![address], Vec::new())).await
    }

    /// Questions heard so far.
    pub(crate) fn questions(&self) -> usize {
        self.questions.load(Ordering::Relaxed)
    }
}

fn answer(query: &[u8], says: &Says) -> Option<Vec<u8>> {
    let (id, question) = (&query[..2], question(&query[12..]));
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    let (code, records): (u8, Vec<Vec<u8>>) = match says {
        Says::Nothing => return None,
        Says::Garbage(bytes) => return Some([id, bytes].concat()),
        Says::Code(code) => (*code, Vec::new()),
        Says::Addresses(v4, _) if kind == A => (0, v4.iter().map(|address| address.octets().to_vec()).collect()),
        Says::Addresses(_, v6) if kind == AAAA => (0, v6.iter().map(|address| address.octets().to_vec()).collect()),
        Says::Addresses(..) => (0, Vec::new()),
    };
    // A response, recursion desired and available; one question, so many answers.
    let mut out = [id, &[0x81, 0x80 | code, 0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]].concat();
    out.extend_from_slice(question);
    for data in records {
        // The name is the question's, class IN, a minute to live.
        out.extend_from_slice(&[0xc0, 0x0c]);
        out.extend_from_slice(&kind.to_be_bytes());
        out.extend_from_slice(&[0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
        out.extend_from_slice(&data);
    }
    Some(out)
}

/// The question section of one question: labels up to the root, type, class.
fn question(bytes: &[u8]) -> &[u8] {
    let mut end = 0;
    while bytes[end] != 0 {
        end += 1 + usize::from(bytes[end]);
    }
    &bytes[..end + 5]
}

const A: u16 = 1;
const AAAA: u16 = 28;
