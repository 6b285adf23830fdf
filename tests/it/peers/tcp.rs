//! TCP peers, in the clear or in TLS: one that plays a script of acts, one that answers HTTP/1.1 requests, one that
//! speaks HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A listening peer; it and its connections end when it is dropped.
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// What a peer does with each connection.
#[derive(Clone)]
pub enum Script {
    /// Plays the acts, then closes.
    Acts(Arc<[Act]>),
    /// Answers HTTP/1.1 requests: from the request's text to the bytes of the answer.
    Http1(Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>),
    /// Answers HTTP/2 requests.
    Http2(Arc<dyn Fn(Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync>),
}

/// One thing that a scripted peer does on a connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// Reads a request's head.
    Hear,
    /// Reads this many bytes.
    Take(usize),
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Sends these bytes over and over, until the client has gone.
    Repeat(Vec<u8>),
    /// Sends these bytes one by one, each in its own packet, over and over, a millisecond apart.
    Drip(Vec<u8>),
    /// Does nothing until the client has gone.
    Hang,
    /// Aborts the connection, so that the client sees a reset. Only as the last act.
    Reset,
}

/// An [`Act::Say`] of text or bytes.
pub fn say(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Say(bytes.into())
}

/// A complete HTTP/1.1 answer with a `content-length`.
pub fn answer(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        out += &format!("{name}: {value}\r\n");
    }
    let mut out = (out + "\r\n").into_bytes();
    out.extend_from_slice(body);
    out
}

/// A 200 with this body.
pub fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", &[], body)
}

/// The path of a request's text, with its query.
pub fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// The values of a header in a request's text, whose names are compared ignoring case.
pub fn header<'request>(request: &'request str, name: &str) -> Vec<&'request str> {
    let lines = request.split("\r\n").skip(1).take_while(|line| !line.is_empty());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: Mutex<usize>,
    end: Notify,
    requests: Mutex<Vec<String>>,
}

impl Peer {
    /// Plays the acts on each connection.
    pub async fn playing(acts: impl Into<Vec<Act>>) -> Self {
        Self::start(None, Script::Acts(acts.into().into())).await
    }

    /// Answers HTTP/1.1 requests; keeps connections open except after an answer with `connection: close`.
    pub async fn site(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(None, Script::Http1(Arc::new(answer))).await
    }

    /// As [`Self::site`], over TLS.
    pub async fn secure_site(config: ServerConfig, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(Some(config), Script::Http1(Arc::new(answer))).await
    }

    /// Follows the script on each connection, after a TLS handshake where there is a `config`.
    pub async fn start(config: Option<ServerConfig>, script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let acceptor = config.map(|config| TlsAcceptor::from(Arc::new(config)));
        let mut tasks = JoinSet::new();
        let log = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                log.connections.fetch_add(1, Ordering::Relaxed);
                let (acceptor, script, log) = (acceptor.clone(), script.clone(), Arc::clone(&log));
                connections.spawn(async move {
                    // An error is the client's: it went away, which is what many tests are about.
                    let _ = connection(tcp, acceptor, &script, &log).await;
                    *log.ended.lock().unwrap() += 1;
                    log.end.notify_waiters();
                });
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// `http://` and the address, with a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `https://localhost` with the port, and a path.
    pub fn secure_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The texts of the HTTP/1.1 requests heard so far.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The text of the only request heard.
    pub fn request(&self) -> String {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Waits until so many connections have ended.
    pub async fn ended(&self, count: usize) {
        loop {
            let notified = self.seen.end.notified();
            if *self.seen.ended.lock().unwrap() >= count {
                return;
            }
            notified.await;
        }
    }
}

/// A connection from the peer's side.
trait Line: AsyncRead + AsyncWrite + Send + Unpin {
    fn socket(&self) -> &TcpStream;
}

impl Line for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Line for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

async fn connection(tcp: TcpStream, acceptor: Option<TlsAcceptor>, script: &Script, seen: &Seen) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let mut line: Box<dyn Line> = match acceptor {
        Some(acceptor) => Box::new(acceptor.accept(tcp).await?),
        None => Box::new(tcp),
    };
    match script {
        Script::Acts(acts) => {
            for act in acts.iter() {
                perform(&mut *line, act, seen).await?;
            }
        }
        Script::Http1(answer) => serve(&mut *line, &**answer, seen).await?,
        Script::Http2(answer) => {
            let answer = |request| {
                let response = answer(request);
                async { Ok::<_, Infallible>(response) }
            };
            let _ = http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(line), service_fn(answer))
                .await;
            return Ok(());
        }
    }
    // Closing while bytes are unread would reset the connection, and with it what was just sent.
    line.shutdown().await?;
    hear_out(&mut *line).await
}

async fn perform(line: &mut dyn Line, act: &Act, seen: &Seen) -> io::Result<()> {
    match act {
        Act::Hear => hear(line, seen).await.map(drop),
        Act::Take(count) => {
            let mut bytes = vec![0; *count];
            line.read_exact(&mut bytes).await.map(drop)
        }
        Act::Say(bytes) => send(line, bytes).await,
        Act::Repeat(bytes) => loop {
            send(line, bytes).await?;
        },
        Act::Drip(bytes) => loop {
            for byte in bytes {
                send(line, &[*byte]).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        },
        Act::Hang => hear_out(line).await,
        Act::Reset => {
            // What was sent must have been taken, for a reset overtakes it.
            socket2::SockRef::from(line.socket()).set_linger(Some(Duration::ZERO))?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

async fn send(line: &mut dyn Line, bytes: &[u8]) -> io::Result<()> {
    line.write_all(bytes).await?;
    line.flush().await
}

async fn hear_out(line: &mut dyn Line) -> io::Result<()> {
    let mut scrap = [0; 1024];
    while line.read(&mut scrap).await? > 0 {}
    Ok(())
}

async fn serve(line: &mut dyn Line, answer: &(dyn Fn(&str) -> Vec<u8> + Send + Sync), seen: &Seen) -> io::Result<()> {
    while let Some(request) = hear(line, seen).await? {
        let answer = answer(&request);
        send(line, &answer).await?;
        if String::from_utf8_lossy(&answer).contains("connection: close") {
            break;
        }
    }
    Ok(())
}

/// Reads one request with its body, as its `content-length` says; `None` when the client has gone.
async fn hear(line: &mut dyn Line, seen: &Seen) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match line.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && bytes.is_empty() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let mut request = String::from_utf8(bytes).unwrap();
    let length = header(&request, "content-length").first().map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    line.read_exact(&mut body).await?;
    request.push_str(&String::from_utf8(body).unwrap());
    seen.requests.lock().unwrap().push(request.clone());
    Ok(Some(request))
}
