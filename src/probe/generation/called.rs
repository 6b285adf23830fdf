//! A job's callbacks: where the service is told to call, and what a call means.
//!
//! Only a signed callback counts as an answer. Whoever cannot sign can at most make the agent ask.

use std::time::Duration;

use super::WEBHOOK_URL;
use super::follow::Streak;
use super::run::{Attempt, GenerationProber, Trouble};
use super::state::Reading;
use super::webhook::receive::{Callback, Line};
use super::webhook::{Verify, verify};
use crate::base::clock::Instant;
use crate::model::outcome::Failure;
use crate::probe::api::Call;
use crate::probe::api::answer::Answer;
use crate::probe::api::caller::Manner;
use crate::probe::api::template::{Template, Values};
use crate::probe::http::{Headers, HttpUrl};

/// Waits for the next callback; for ever where none can come.
pub(super) async fn called(line: &mut Option<Line>) -> Callback {
    match line {
        Some(line) => line.next().await,
        None => std::future::pending().await,
    }
}

impl Attempt<'_> {
    /// Opens the place at which the service may call, and makes it known to the submission.
    pub(super) async fn open_line(&mut self) -> Result<(), Failure> {
        let Some(webhook) = &self.prober.settings.webhook else { return Ok(()) };
        let line = self.prober.desk().receivers().line(webhook.listen.0).await?;
        let base = webhook.url.as_ref().map_or_else(
            || format!("http://{}", line.address),
            |url| url.url().as_str().trim_end_matches('/').to_owned(),
        );
        self.values.insert(WEBHOOK_URL.to_owned(), format!("{base}/{}", line.token));
        self.line = Some(line);
        Ok(())
    }

    /// Takes in a callback: an answer if it is signed and its state is known, else a reason to ask at once.
    pub(super) async fn take_callback(
        &mut self,
        callback: Callback,
        streak: &mut Streak,
    ) -> Result<Option<Answer>, Trouble> {
        match self.prober.check(&callback).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(why) => {
                self.timeline.note("callback", format!("not believed: {why}"));
                return Ok(None);
            }
        }
        let answer = Answer::event(200, &callback.body);
        match self.prober.settings.state.read(&answer) {
            Reading::Known(_) => {
                self.timeline.note("callback", "signed, and taken for an answer");
                self.heard(answer, streak)
            }
            Reading::Unknown(_) => {
                self.timeline.note("callback", "signed; asking at once");
                Ok(None)
            }
        }
    }
}

impl GenerationProber {
    /// Whether a callback is signed; false where that is not asked for.
    async fn check(&self, callback: &Callback) -> Result<bool, String> {
        let now = self.shared.clock.now();
        let webhook = self.settings.webhook.as_ref().and_then(|webhook| webhook.verify.as_ref());
        match webhook {
            None => Ok(false),
            Some(Verify::StandardWebhooks(secret)) => {
                verify::standard(callback, secret, now).map(|()| true).map_err(str::to_owned)
            }
            Some(Verify::FalJwks(url)) => {
                let keys = self.signers(url).await?;
                verify::fal(callback, &keys, now).map(|()| true).map_err(str::to_owned)
            }
        }
    }

    /// The keys at `url`, asked for once a day.
    async fn signers(&self, url: &HttpUrl) -> Result<Vec<Vec<u8>>, String> {
        let mut known = self.keys.lock().await;
        if let Some((since, keys)) = &*known
            && !keys.is_empty()
            && since.elapsed() < KEYS_LIVE
        {
            return Ok(keys.clone());
        }
        // What could not be had a moment ago is not asked for at each call.
        if let Some((since, keys)) = &*known
            && keys.is_empty()
            && since.elapsed() < KEYS_PAUSE
        {
            return Err("its keys could not be had a moment ago".to_owned());
        }
        *known = Some((Instant::now(), Vec::new()));
        let call = Call {
            url: Template::literal(url.text().clone()),
            method: None,
            headers: Headers::default(),
            json: None,
            form: None,
            multipart: None,
            accept: None,
            timeout: None,
            max_body: None,
        };
        let called = self.caller.call(&call, &Values::new(), Manner::alone(KEYS_LIMIT)).await;
        let called = called.map_err(|unanswered| format!("its keys cannot be had: {}", unanswered.failure.detail))?;
        let document = called.answer.document().map_err(|failure| failure.detail)?;
        let keys = verify::keys(document);
        if keys.is_empty() {
            return Err("the document of keys holds none".to_owned());
        }
        *known = Some((Instant::now(), keys.clone()));
        Ok(keys)
    }
}

const KEYS_LIVE: Duration = Duration::from_secs(24 * 3600);
const KEYS_PAUSE: Duration = Duration::from_secs(60);
const KEYS_LIMIT: Duration = Duration::from_secs(10);
