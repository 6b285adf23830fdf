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
pub(crate) struct Peer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

/// What a peer does with each connection.
#[derive(Clone)]
pub(crate) enum Script {
    /// Plays the acts, then closes.
    Acts(Arc<[Act]>),
    /// Answers HTTP/1.1 requests: from the request's text to the bytes of the answer.
    Http1(Arc<Answering>),
    /// Answers HTTP/2 requests.
    Http2(Arc<dyn Fn(Request<Incoming>) -> Response<Full<Bytes>> + Send + Sync>),
}

type Answering = dyn Fn(&str) -> Vec<u8> + Send + Sync;

/// One thing that a scripted peer does on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reads a request's head.
    Hear,
    /// Reads this many bytes.
    Take(usize),
    /// Reads HTTP/2 up to and including the frame with the request's headers.
    HearFrames,
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
pub(crate) fn say(bytes: impl Into<Vec<u8>>) -> Act {
    Act::Say(bytes.into())
}

/// A complete HTTP/1.1 answer with a `content-length`.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{}\r\n", body.len(), headers.concat());
    [head.as_bytes(), body].concat()
}

/// A 200 with this body.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", &[], body)
}

/// The path of a request's text, with its query.
pub(crate) fn path(request: &str) -> &str {
    request.split(' ').nth(1).unwrap_or_default()
}

/// The values of a header in a request's text, whose names are compared ignoring case.
pub(crate) fn header<'request>(request: &'request str, name: &str) -> Vec<&'request str> {
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
    pub(crate) async fn playing(acts: impl Into<Vec<Act>>) -> Self {
        Self::start(None, Script::Acts(acts.into().into())).await
    }

    /// Answers HTTP/1.1 requests; keeps connections open except after an answer with `connection: close`.
    pub(crate) async fn site(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start(None, Script::Http1(Arc::new(answer))).await
    }

    /// As [`Self::site`], over TLS.
    pub(crate) async fn secure_site(
        config: ServerConfig,
        answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(config), Script::Http1(Arc::new(answer))).await
    }

    /// Follows the script on each connection, after a TLS handshake where there is a `config`.
    pub(crate) async fn start(config: Option<ServerConfig>, script: Script) -> Self {
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
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `https://localhost` with the port, and a path.
    pub(crate) fn secure_url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// The texts of the HTTP/1.1 requests heard so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The text of the only request heard.
    pub(crate) fn request(&self) -> String {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Waits until so many connections have ended.
    pub(crate) async fn ended(&self, count: usize) {
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
        Act::HearFrames => hear_frames(line).await,
        Act::Say(bytes) => send(line, bytes).await,
        Act::Repeat(bytes) => repeat(line, &[bytes], Duration::ZERO).await,
        Act::Drip(bytes) => {
            let bytes: Vec<_> = bytes.chunks(1).collect();
            repeat(line, &bytes, Duration::from_millis(1)).await
        }
        Act::Hang => hear_out(line).await,
        Act::Reset => {
            // What was sent must have been taken, for a reset overtakes it.
            socket2::SockRef::from(line.socket()).set_linger(Some(Duration::ZERO))?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

/// Sends the pieces over and over, and takes what comes, until the client has gone.
async fn repeat(line: &mut dyn Line, pieces: &[impl AsRef<[u8]>], pause: Duration) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(line);
    let sending = async {
        loop {
            for piece in pieces {
                writer.write_all(piece.as_ref()).await?;
                writer.flush().await?;
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    };
    tokio::select! {
        sent = sending => sent,
        heard = hear_out(&mut reader) => heard,
    }
}

async fn send(line: &mut dyn Line, bytes: &[u8]) -> io::Result<()> {
    line.write_all(bytes).await?;
    line.flush().await
}

/// RFC 9113 §3.4 and §4.1: a preface of 24 bytes, then frames of 3 bytes length, type, flags, 4 bytes stream, payload.
async fn hear_frames(line: &mut dyn Line) -> io::Result<()> {
    line.read_exact(&mut [0; 24]).await?;
    loop {
        let mut head = [0; 9];
        line.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        line.read_exact(&mut payload).await?;
        if head[3] == 1 {
            return Ok(());
        }
    }
}

async fn hear_out(line: &mut (impl AsyncRead + Unpin + ?Sized)) -> io::Result<()> {
    let mut scrap = [0; 1024];
    while line.read(&mut scrap).await? > 0 {}
    Ok(())
}

async fn serve(line: &mut dyn Line, answer: &Answering, seen: &Seen) -> io::Result<()> {
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
    request.push_str(&String::from_utf8_lossy(&body));
    seen.requests.lock().unwrap().push(request.clone());
    Ok(Some(request))
}
