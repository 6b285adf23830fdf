//! A small service that answers by a script: for each route, one answer after the other, the last one for ever.
//!
//! Holds its clients to the key: without it, or with another, all they get is a 401.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::peers::tcp::{Peer, answer, header};

/// What a stand-in is to say.
#[derive(Default)]
pub(crate) struct Script {
    key: Option<(&'static str, String)>,
    routes: HashMap<String, VecDeque<Reply>>,
}

/// One answer. In its JSON and its headers `{base}` stands for the stand-in's own origin.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Json(Value),
    Bytes(Vec<u8>),
}

/// A running stand-in.
pub(crate) struct StandIn {
    peer: Peer,
    heard: Arc<Notify>,
}

impl Script {
    /// Asks for this header in every request.
    pub(crate) fn keyed(name: &'static str, value: &str) -> Self {
        Self { key: Some((name, value.to_owned())), ..Self::default() }
    }

    /// Answers `METHOD /path` so. Replaces what was said of it before.
    pub(crate) fn on(mut self, route: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        self.routes.insert(route.to_owned(), replies.into_iter().collect());
        self
    }

    pub(crate) async fn start(self) -> StandIn {
        let heard = Arc::new(Notify::new());
        let notify = Arc::clone(&heard);
        let script = Mutex::new(self);
        let peer = Peer::site(move |request| {
            let reply = script.lock().unwrap().reply(request);
            notify.notify_waiters();
            reply.bytes(&format!("http://{}", header(request, "host").concat()))
        })
        .await;
        StandIn { peer, heard }
    }

    fn reply(&mut self, request: &str) -> Reply {
        if let Some((name, value)) = &self.key
            && header(request, name) != [value.as_str()]
        {
            return reply(401, json!({"detail": "Unauthorized"}));
        }
        let Some(replies) = self.routes.get_mut(&route(request)) else {
            return reply(404, json!({"detail": "Not Found"}));
        };
        let next = if replies.len() > 1 { replies.pop_front() } else { replies.front().cloned() };
        next.expect("a route has answers")
    }
}

impl StandIn {
    /// `http://` and where it listens.
    pub(crate) fn origin(&self) -> String {
        self.peer.url("")
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        self.peer.url(path)
    }

    /// The requests of this route so far.
    pub(crate) fn requests(&self, route: &str) -> Vec<String> {
        self.peer.requests().into_iter().filter(|request| self::route(request) == route).collect()
    }

    /// The routes of all requests so far, in order, each once where it repeats.
    pub(crate) fn routes(&self) -> Vec<String> {
        let mut routes: Vec<_> = self.peer.requests().iter().map(|request| route(request)).collect();
        routes.dedup();
        routes
    }

    /// Waits until so many requests of this route were heard. All before the last one are answered then.
    pub(crate) async fn heard(&self, route: &str, count: usize) {
        loop {
            let notified = self.heard.notified();
            if self.requests(route).len() >= count {
                return;
            }
            notified.await;
        }
    }

    /// The values of a header in all requests so far.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let requests = self.peer.requests();
        requests.iter().flat_map(|request| header(request, name)).map(str::to_owned).collect()
    }
}

impl Reply {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn bytes(&self, base: &str) -> Vec<u8> {
        let body = match &self.body {
            Body::Json(value) => value.to_string().replace("{base}", base).into_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
        };
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.clone(), value.replace("{base}", base))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        answer(&format!("{} Whatever", self.status), &headers, body)
    }
}

/// An answer in JSON.
pub(crate) fn reply(status: u16, body: Value) -> Reply {
    Reply { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body: Body::Json(body) }
}

/// An answer that is a file.
pub(crate) fn file(kind: &str, bytes: Vec<u8>) -> Reply {
    Reply { status: 200, headers: vec![("content-type".to_owned(), kind.to_owned())], body: Body::Bytes(bytes) }
}

/// A video that plays for five seconds.
pub(crate) fn video() -> Reply {
    file("video/mp4", video_bytes())
}

/// The bytes of [`video`]: as large as real ones, by a box that players step over (ISO/IEC 14496-12 §8.1.2).
pub(crate) fn video_bytes() -> Vec<u8> {
    let clip = include_bytes!("../../../src/demo/assets/clip.mp4");
    let free = [&40_008_u32.to_be_bytes()[..], b"free", &vec![0; 40_000]].concat();
    [&clip[..], &free].concat()
}

/// A place for files that asks for no key and must be given none.
pub(crate) async fn media_host() -> StandIn {
    Script::default().on("GET /kite.mp4", [video()]).start().await
}

fn route(request: &str) -> String {
    request.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
