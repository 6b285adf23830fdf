//! A job followed by server-sent events (WHATWG HTML §9.2), for as long as the stream lasts.
//!
//! A stream that ends, falls silent or never was is no trouble: the job is then followed by asking.

use std::time::Duration;

use bytes::BytesMut;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use memchr::memchr;

use super::follow::Streak;
use super::run::{Attempt, Trouble, stopping};
use crate::base::clock::Instant;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::Call;
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::Live;
use crate::probe::http::{Headers, Method};
use crate::probe::timeline::Timeline;

impl Attempt<'_> {
    /// Follows the stream; the answer that says that the job came to a good end, or nothing when the stream is over.
    pub(super) async fn follow_stream(&mut self, streak: &mut Streak) -> Result<Option<Answer>, Trouble> {
        let Some(url) = self.prober.settings.poll.stream.clone() else { return Ok(None) };
        let call = Call {
            url,
            method: Some(Method::default()),
            json: None,
            form: None,
            multipart: None,
            ..self.prober.poll.clone()
        };
        let over = match self.open_stream(&call).await? {
            Ok(mut live) => match self.listen(&mut live, streak).await? {
                Ok(answer) => return Ok(Some(answer)),
                Err(why) => why,
            },
            Err(why) => why,
        };
        self.timeline.note("stream", format!("{}; asking instead", over.detail));
        Ok(None)
    }

    async fn open_stream(&mut self, call: &Call) -> Result<Result<Live, Failure>, Trouble> {
        let inherited: &Headers = &self.prober.settings.submit.headers;
        let blueprint = self.prober.caller.blueprint(call, &self.values, Some(inherited), false);
        let mut blueprint = match blueprint {
            Ok(blueprint) => blueprint,
            Err(failure) => return Ok(Err(failure)),
        };
        blueprint.set(ACCEPT, HeaderValue::from_static("text/event-stream"));
        blueprint.set(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut scratch = Timeline::start();
        let opening = Box::pin(self.prober.caller.open(&blueprint, false, &mut scratch));
        let opened = tokio::select! {
            biased;
            () = self.seat.recalled() => return Err(Trouble::open(stopping("the job is given up"))),
            opened = tokio::time::timeout_at(self.end().min(Instant::now() + SILENCE), opening) => opened,
        };
        let silent = || Failure::new(Reason::Timeout, "the stream did not open in time");
        Ok(opened.unwrap_or_else(|_| Err(silent())).and_then(|live| {
            let status = live.reply.head.status.as_u16();
            live.connection.allow(MAX_STREAM);
            let is_coded = live.reply.head.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
            if status != 200 {
                Err(Failure::new(Reason::HttpStatus, format!("the stream answered {status}")))
            } else if is_coded {
                Err(Failure::new(Reason::Protocol, "the stream is compressed, which was not asked for"))
            } else {
                Ok(live)
            }
        }))
    }

    /// Takes in events until one says that the job came to a good end, or the stream is over.
    async fn listen(&mut self, live: &mut Live, streak: &mut Streak) -> Result<Result<Answer, Failure>, Trouble> {
        let mut events = Events::default();
        let (mut received, mut heard_at) = (0, Instant::now());
        loop {
            let end = self.end();
            let piece = tokio::select! {
                biased;
                () = self.seat.recalled() => return Err(Trouble::open(stopping("the job is given up"))),
                piece = tokio::time::timeout_at(end.min(heard_at + SILENCE), live.connection.piece(&mut live.reply, received)) => piece,
            };
            if Instant::now() >= end {
                return Err(Trouble::open(self.expired(streak)));
            }
            let piece = match piece {
                Err(_) => return Ok(Err(Failure::new(Reason::Stalled, "the stream fell silent"))),
                Ok(Err(failure)) => return Ok(Err(failure)),
                Ok(Ok(None)) => return Ok(Err(Failure::new(Reason::Network, "the stream ended before the job did"))),
                Ok(Ok(Some(piece))) => piece,
            };
            received += piece.len() as u64;
            if !events.push(&piece) {
                return Ok(Err(Failure::new(Reason::BodyTooLarge, "an event of the stream is too large")));
            }
            while let Some(data) = events.next() {
                // Only events count: a stream may be kept alive by comments while it has nothing to say.
                heard_at = Instant::now();
                self.counts.polls += 1;
                if let Some(answer) = self.heard(Answer::event(200, &data), streak)? {
                    return Ok(Ok(answer));
                }
            }
        }
    }
}

/// Takes a stream apart into the data of its events.
#[derive(Default)]
struct Events {
    bytes: BytesMut,
    /// How many of them hold no end of a line.
    scanned: usize,
    data: Vec<u8>,
}

impl Events {
    /// Takes the next bytes; false when an event is larger than allowed.
    fn push(&mut self, piece: &[u8]) -> bool {
        self.bytes.extend_from_slice(piece);
        self.bytes.len() + self.data.len() <= MAX_EVENT
    }

    /// The data of the next whole event. Events without data are passed over.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let Some(end) = memchr(b'\n', &self.bytes[self.scanned..]) else {
                self.scanned = self.bytes.len();
                return None;
            };
            let end = std::mem::take(&mut self.scanned) + end;
            let line = self.bytes.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                if !self.data.is_empty() {
                    return Some(std::mem::take(&mut self.data));
                }
            } else if let Some(data) = line.strip_prefix(b"data:") {
                if !self.data.is_empty() {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
            }
        }
    }
}

/// A stream in which nothing is heard for this long is given up, as fal's own client does.
const SILENCE: Duration = Duration::from_secs(15);
const MAX_EVENT: usize = 256 * 1024;
const MAX_STREAM: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&str]) -> Vec<String> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in pieces {
            assert!(events.push(piece.as_bytes()));
            found.extend(std::iter::from_fn(|| events.next()).map(|data| String::from_utf8(data).unwrap()));
        }
        found
    }

    #[test]
    fn events_are_put_together_from_any_pieces() {
        assert_eq!(events(&["data: {\"a\":1}\n\n"]), ["{\"a\":1}"]);
        assert_eq!(events(&["da", "ta:{\"a\"", ":1}\r", "\n\r\nid: 7\n", "data: 2\n\n"]), ["{\"a\":1}", "2"]);
        assert_eq!(events(&[": comment\n\nevent: x\n\n", "data: a\ndata: b\n\ndata: cut"]), ["a\nb"]);
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut events = Events::default();
        assert!(events.push(b"data: "));
        assert!(!(0..100).all(|_| events.push(&[b'x'; 8192]) && events.next().is_none()));
    }
}
