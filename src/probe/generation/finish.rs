//! From a job that is called done to a video that plays: guards, the result, the download, the check.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::kind::{DOWNLOAD, RESULT};
use super::run::{Attempt, Trouble, stopping};
use super::submit::told;
use super::{Encoding, Generation, Place, ResultCall};
use crate::base::clock::Instant;
use crate::base::duration::HumanDuration;
use crate::base::size::ByteSize;
use crate::model::outcome::Failure;
use crate::model::reason::Reason;
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::Manner;
use crate::probe::api::extract::scalar;
use crate::probe::attempt::timed_out;
use crate::probe::download::kind::{MEDIA, TRANSFER_MEASURES};
use crate::probe::download::run::{STALL, media_breach, misnamed};
use crate::probe::download::transfer::{self, Fetched, Terms};
use crate::probe::http::judge::json_breach;
use crate::probe::media::{self, InMemory};
use crate::probe::timeline::Timeline;

/// A video, or where it is.
enum Video {
    Bytes(Bytes),
    At(Url),
}

impl Generation {
    /// True when the answer that says that the job is done may be the video itself, or hold it.
    pub(super) fn answers_with_media(&self) -> bool {
        self.result.as_ref().is_some_and(|result| {
            result.url.is_none() && (result.media == Place::Body || result.encoding == Encoding::Base64)
        })
    }
}

impl Attempt<'_> {
    /// Checks that the job that is called done has a video, and that it plays.
    pub(super) async fn finish(&mut self, answer: Answer) -> Result<Option<Failure>, Trouble> {
        // Until there is a video, the service has nothing to show for the credit.
        self.owed = true;
        self.guard(&answer).map_err(Trouble::over)?;
        let prober = self.prober;
        let Some(result) = &prober.settings.result else { return Ok(None) };
        self.seat.report(RESULT, None);
        self.timeline.enter(RESULT);
        let videos = self.result(result, answer).await.map_err(Trouble::over)?;
        let what = if videos.len() == 1 { String::new() } else { format!("{} videos", videos.len()) };
        self.timeline.leave(what);
        self.owed = false;
        self.seat.report(DOWNLOAD, None);
        self.timeline.enter(DOWNLOAD);
        let mut warning = None;
        for video in videos {
            let fetched = match video {
                Video::Bytes(bytes) => self.look_into(bytes).await,
                Video::At(url) => self.download(result, url).await,
            };
            let fetched = fetched.map_err(Trouble::over)?;
            if let Some(failure) = media_breach(prober.settings.media.as_deref(), &fetched) {
                return Err(Trouble::over(failure));
            }
            warning = warning.or_else(|| misnamed(&fetched));
        }
        Ok(warning)
    }

    /// What must hold of the last answer, and what it must not say.
    fn guard(&self, answer: &Answer) -> Result<(), Failure> {
        let Generation { succeeded_if, error_text, .. } = &*self.prober.settings;
        if let Some(failure) = self.prober.classified(answer) {
            return Err(failure);
        }
        let null = Value::Null;
        let document = answer.json().unwrap_or(&null);
        for rule in succeeded_if.iter() {
            let Some(breach) = json_breach(rule, document, &self.prober.shared.regexes) else { continue };
            let is_missing = !rule.absent && rule.path.select(document).iter().all(|value| value.is_null());
            let reason = if is_missing { Reason::NoOutput } else { Reason::JobFailed };
            let words = answer.words(error_text).map(|words| format!(": {words}")).unwrap_or_default();
            return Err(Failure::new(reason, format!("called done, but {}{words}", breach.detail)));
        }
        Ok(())
    }

    /// The videos, by the answer or by the request that gives them.
    async fn result(&mut self, result: &ResultCall, answer: Answer) -> Result<Vec<Video>, Failure> {
        if let (Place::Body, Some(call)) = (&result.media, result.call()) {
            // The address is an API's, which gives the bytes: it is downloaded as a video is.
            return Ok(vec![Video::At(call.url.fill(&self.values)?)]);
        }
        let answer = match result.call() {
            Some(_) => self.ask_for_result(result).await?,
            None => answer,
        };
        match &result.media {
            Place::Body if answer.body.is_empty() => Err(no_output("the answer is empty")),
            Place::Body => Ok(vec![Video::Bytes(answer.body)]),
            Place::Path(path) => {
                let document = answer.document()?;
                let selected = path.select(document);
                let texts = selected.into_iter().filter(|value| !value.is_null()).filter_map(scalar);
                let texts: Vec<_> =
                    texts.filter(|text| !text.is_empty()).take(if result.all { MAX_VIDEOS } else { 1 }).collect();
                if texts.is_empty() {
                    let words = answer.words(&self.prober.settings.error_text);
                    let words = words.map(|words| format!(": {words}")).unwrap_or_default();
                    return Err(no_output(&format!("expected a video at {path}, there is none{words}")));
                }
                texts.iter().map(|text| self.video(result.encoding, text)).collect()
            }
        }
    }

    fn video(&self, encoding: Encoding, text: &str) -> Result<Video, Failure> {
        match encoding {
            Encoding::Url => {
                let base = self.prober.poll.url.fill(&self.values).ok();
                let url = base.map_or_else(|| Url::parse(text), |base| base.join(text));
                let url = url.map_err(|error| no_output(&format!("the video's address is none: {error}")))?;
                if !matches!(url.scheme(), "http" | "https") {
                    return Err(no_output(&format!("the video's address begins with `{}:`", url.scheme())));
                }
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(no_output("the video's address holds a name or a password, which is not sent"));
                }
                Ok(Video::At(url))
            }
            Encoding::Base64 => {
                let data = text.rsplit_once(";base64,").map_or(text, |(_, data)| data);
                let bytes = BASE64.decode(data.trim()).map_err(|error| {
                    Failure::new(Reason::NotPlayable, format!("expected the video in base64: {error}"))
                })?;
                Ok(Video::Bytes(bytes.into()))
            }
        }
    }

    /// Asks for the result; again, a few times, where that may help: reading it twice costs nothing.
    async fn ask_for_result(&mut self, result: &ResultCall) -> Result<Answer, Failure> {
        let Some(call) = result.call() else { return Err(no_output("`result` lacks `url`")) };
        for attempt in 1.. {
            let limit = call.limit(RESULT_LIMIT).min(self.deadline - Instant::now());
            // Only base64 needs room for a video.
            let max_body =
                if result.encoding == Encoding::Base64 { RESULT_BODY } else { crate::probe::api::MAX_ANSWER };
            let manner = Manner { max_body, reuse: true, ..self.prober.manner(limit) };
            let called = self.prober.caller.call(&call, &self.values, manner).await;
            let failure = match called {
                Ok(called) if call.accepts(called.answer.status) => {
                    return match self.prober.classified(&called.answer) {
                        Some(failure) => Err(told("result", failure)),
                        None => Ok(called.answer),
                    };
                }
                Ok(called) => {
                    let failure = told("result", self.prober.refusal(&call, &called.answer));
                    let may_pass = called.answer.status >= 500 || called.answer.status == 429;
                    if !may_pass || failure.blame == crate::model::reason::Blame::Agent {
                        return Err(failure);
                    }
                    failure
                }
                Err(unanswered) if !unanswered.made => return Err(told("result", unanswered.failure)),
                Err(unanswered) => told("result", unanswered.failure),
            };
            self.counts.poll_failures += 1;
            if attempt >= RESULT_TRIES || Instant::now() + RESULT_PAUSE >= self.deadline {
                return Err(failure);
            }
            self.wait(RESULT_PAUSE).await?;
        }
        Err(no_output("the result was asked for too often"))
    }

    async fn wait(&self, pause: Duration) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = self.seat.recalled() => Err(stopping("the job is done, its video was not looked at")),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    async fn look_into(&mut self, bytes: Bytes) -> Result<Fetched, Failure> {
        let total = bytes.len() as u64;
        let media = match &self.prober.settings.media {
            Some(_) => Some(media::inspect(&mut InMemory::new(bytes)).await?),
            None => None,
        };
        if let Some(media) = &media {
            self.timeline.fact(MEDIA, &media.summary());
        }
        self.timeline.leave(ByteSize(total).to_string());
        Ok(Fetched { total: Some(total), bytes: total, media, ..Fetched::default() })
    }

    async fn download(&mut self, result: &ResultCall, url: Url) -> Result<Fetched, Failure> {
        let prober = self.prober;
        let own_origin = result.url.as_ref().and_then(super::Template::origin);
        let is_api = result.media == Place::Body;
        let inherited = (result.send_key || is_api).then_some(&prober.settings.submit.headers);
        let none = crate::probe::http::Headers::default();
        let own = if is_api { &result.headers } else { &none };
        let headers = prober.caller.headers(own, own_origin.as_ref(), inherited, &url)?;
        let media = prober.settings.media.as_ref();
        let terms = Terms {
            mode: result.mode,
            max_bytes: result.max_bytes,
            stall: STALL,
            hash: false,
            inspect: media.is_some(),
            decode: media.and_then(|media| media.decode),
            accept: &[],
        };
        let mut scratch = Timeline::start();
        let fetching =
            Box::pin(transfer::fetch(&prober.caller, url, headers, &terms, &prober.shared.clock, &mut scratch));
        let fetched = tokio::select! {
            biased;
            () = self.seat.recalled() => Some(Err(stopping("the job is done, its video was not looked at"))),
            fetched = tokio::time::timeout_at(self.deadline, fetching) => fetched.ok(),
        };
        let keys: Vec<_> = TRANSFER_MEASURES.iter().map(|measure| measure.key).chain([MEDIA]).collect();
        self.timeline.recall(&scratch.remember(&keys));
        let took = scratch
            .findings()
            .phases
            .iter()
            .map(|(name, took)| format!("{name} {}", crate::base::duration::shown(*took)));
        let took = took.collect::<Vec<_>>().join(", ");
        match fetched {
            Some(Ok(fetched)) => {
                self.timeline.leave(format!("{}: {took}", ByteSize(fetched.bytes)));
                Ok(fetched)
            }
            Some(Err(failure)) => Err(told("download", failure)),
            None => {
                let failure = timed_out(&scratch, self.order.timeout);
                let timeout = HumanDuration(self.order.timeout);
                let detail = format!("the job is done and its video did not come within {timeout}: {}", failure.detail);
                Err(Failure { detail, ..failure })
            }
        }
    }
}

fn no_output(detail: &str) -> Failure {
    Failure::new(Reason::NoOutput, format!("result: {detail}"))
}

const RESULT_LIMIT: Duration = Duration::from_secs(30);
const RESULT_TRIES: u32 = 3;
const RESULT_PAUSE: Duration = Duration::from_secs(1);
const RESULT_BODY: ByteSize = ByteSize(64 << 20);
const MAX_VIDEOS: usize = 8;
