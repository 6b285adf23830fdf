//! Jobs as they are seen while they are outstanding, recalled when the agent stops, and taken over when nobody follows
//! them any more.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use forewarn::app::Desk;
use forewarn::base::clock::Clock;
use forewarn::model::job::{Leftover, Opened, Opening, Ticket};
use forewarn::model::reason::{Blame, Reason};
use forewarn::model::result::ProbeResult;
use forewarn::probe::generation::ledger::{Ledger, LedgerError, Memory};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::definition::Definition;
use super::ordinary::{CANCEL, JOB, SUBMIT, done, job, queued, running, script};
use super::stand_in::{media_host, reply};
use crate::peers::probing::Inspect;
use crate::peers::tcp::{Act, Peer, say};

/// An attempt that goes on while the test looks.
fn begin(settings: &Value, desk: &Arc<Desk>) -> JoinHandle<ProbeResult> {
    let (definition, desk) = (Definition::of(settings), Arc::clone(desk));
    tokio::spawn(async move { definition.attempt_at(&desk).await })
}

#[tokio::test]
async fn an_outstanding_job_shows_where_it_stands() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [queued(3), running(), running(), done(&media)]).start().await;
    let desk = Arc::default();
    let attempt = begin(&job(&service), &desk);
    service.heard(JOB, 2).await;
    let seen = &desk.pending()[0];
    assert_eq!((seen.stage, seen.position, &*seen.job), ("queue", Some(3.0), "j1"));
    assert_eq!(seen.identity.probe.to_string(), "job");
    let age = seen.age;
    service.heard(JOB, 3).await;
    let seen = &desk.pending()[0];
    assert_eq!((seen.stage, seen.position), ("render", None), "what is worked on has no place in the queue");
    assert!(seen.age > age);
    attempt.await.unwrap().assert_ok();
    assert!(desk.pending().is_empty());
}

#[tokio::test]
async fn an_agent_that_stops_cancels_its_jobs() {
    let service = script(&media_host().await).on(JOB, [queued(3)]).start().await;
    let desk = Arc::default();
    let attempt = begin(&job(&service), &desk);
    service.heard(JOB, 2).await;
    desk.close();
    let result = attempt.await.unwrap();
    let detail = result.assert_failed(Reason::Skipped, Blame::Agent);
    assert_eq!(detail, "the agent is stopping or the probe was removed: the job is given up");
    assert_eq!(service.requests(CANCEL).len(), 1);
    assert_eq!(result.steps("cancel"), ["the service answered 204"]);
    assert!(desk.pending().is_empty() && desk.leftover(&"job".parse().unwrap()).is_none());
    let result = Definition::of(&job(&service)).attempt_at(&desk).await;
    result.assert_failed(Reason::Skipped, Blame::Agent);
    assert_eq!(service.requests(SUBMIT).len(), 1, "no job is begun any more");
}

#[tokio::test]
async fn a_probe_that_is_removed_cancels_its_job() {
    let service = script(&media_host().await).on(JOB, [running()]).start().await;
    let desk: Arc<Desk> = Arc::default();
    let attempt = begin(&job(&service), &desk);
    service.heard(JOB, 1).await;
    desk.keep_only(&HashSet::from([&"another".parse().unwrap()]));
    attempt.await.unwrap().assert_failed(Reason::Skipped, Blame::Agent);
    assert_eq!(service.requests(CANCEL).len(), 1);
}

#[tokio::test]
async fn a_job_that_cannot_be_cancelled_now_is_kept_for_later() {
    let service = script(&media_host().await).on(JOB, [running()]).on(CANCEL, [reply(503, json!({}))]).start().await;
    let desk: Arc<Desk> = Arc::default();
    let attempt = begin(&job(&service), &desk);
    service.heard(JOB, 1).await;
    desk.close();
    attempt.await.unwrap().assert_failed(Reason::Skipped, Blame::Agent);
    let leftover = desk.leftover(&"job".parse().unwrap()).unwrap();
    assert_eq!(leftover.values, Some(vec![("id".to_owned(), "j1".to_owned())]));
}

#[tokio::test]
async fn a_video_on_its_way_is_let_go_and_nothing_cancelled() {
    let media = Peer::playing([Act::Hear, say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nx"), Act::Hang]).await;
    let end = reply(200, json!({"status": "done", "url": media.url("/kite.mp4")}));
    let service = script(&media_host().await).on(JOB, [end, running()]).start().await;
    let desk: Arc<Desk> = Arc::default();
    let attempt = begin(&job(&service), &desk);
    while desk.pending().first().is_none_or(|seen| seen.stage != "download") {
        tokio::task::yield_now().await;
    }
    desk.close();
    let result = attempt.await.unwrap();
    let detail = result.assert_failed(Reason::Skipped, Blame::Agent);
    assert!(detail.ends_with("the job is done, its video was not looked at"), "{detail}");
    assert!(service.requests(CANCEL).is_empty());
}

#[tokio::test]
async fn a_job_that_nobody_follows_is_taken_over() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [queued(3), queued(2), running(), done(&media)]).start().await;
    let desk: Arc<Desk> = Arc::default();
    let mut settings = job(&service);
    settings["budget"] = json!({"per_run": 0.2, "per_day": 0.2});
    let attempt = begin(&settings, &desk);
    service.heard(JOB, 2).await;
    attempt.abort();
    assert!(attempt.await.unwrap_err().is_cancelled());
    assert!(desk.pending().is_empty());
    let result = Definition::of(&settings).attempt_at(&desk).await;
    result.assert_ok();
    assert_eq!(service.requests(SUBMIT).len(), 1, "it is not paid for twice");
    let measure = |key| result.findings.measure(key);
    assert_eq!(
        (measure("total"), measure("spent"), measure("queue")),
        (None, None, None),
        "its beginning was not seen"
    );
    assert!(measure("download").is_some());
    assert!(result.steps("taken over")[0].starts_with("a job that was submitted at "));
}

/// Remembers a job that an agent left an hour ago.
struct Old(Memory, Mutex<Option<Leftover>>);

impl Old {
    fn desk(values: Option<&[(&str, &str)]>) -> Arc<Desk> {
        let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let an_hour = SignedDuration::from_hours(1);
        let leftover = Leftover {
            ticket: Ticket(0),
            probe: "job".parse().unwrap(),
            opened_at: Clock::system().now().checked_sub(an_hour).unwrap(),
            values: values.map(pairs),
        };
        Arc::new(Desk::new(Arc::new(Self(Memory::default(), Mutex::new(Some(leftover))))))
    }
}

impl Ledger for Old {
    fn open(&self, opening: Opening) -> BoxFuture<'_, Result<Opened, LedgerError>> {
        self.0.open(opening)
    }

    fn accepted(&self, ticket: Ticket, values: Vec<(String, String)>) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.0.accepted(ticket, values)
    }

    fn close(&self, ticket: Ticket, refund: bool) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.0.close(ticket, refund)
    }

    fn leftovers(&self) -> BoxFuture<'_, Result<Vec<Leftover>, LedgerError>> {
        let left = self.1.lock().unwrap().take();
        async move { Ok(left.into_iter().collect()) }.boxed()
    }

    fn adopt(&self, _: Ticket) -> BoxFuture<'_, Result<bool, LedgerError>> {
        async { Ok(true) }.boxed()
    }
}

#[tokio::test]
async fn a_job_that_was_left_long_ago_is_asked_about_once_more() {
    let media = media_host().await;
    for (state, is_done) in [(done(&media), true), (queued(3), false)] {
        let service = script(&media).on(JOB, [state]).start().await;
        let mut settings = job(&service);
        settings["queue_deadline"] = "100ms".into();
        let result = Definition::of(&settings).attempt_at(&Old::desk(Some(&[("id", "j1")]))).await;
        if is_done {
            result.assert_ok();
        } else {
            result.assert_failed(Reason::QueueStuck, Blame::Target);
            assert_eq!(service.requests(CANCEL).len(), 1);
        }
        assert_eq!(service.requests(JOB).len(), 1);
        assert!(service.requests(SUBMIT).is_empty());
    }
}

#[tokio::test]
async fn a_job_of_which_nobody_can_tell_is_let_go_and_told() {
    let media = media_host().await;
    let service = script(&media).on(JOB, [done(&media)]).start().await;
    let result = Definition::of(&job(&service)).attempt_at(&Old::desk(None)).await;
    result.assert_ok();
    assert!(result.steps("ledger")[0].contains("was lost sight of"), "{:?}", result.steps("ledger"));
    assert_eq!(service.routes(), [SUBMIT, JOB]);
}
