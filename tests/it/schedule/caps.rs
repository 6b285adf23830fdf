//! How many run at once, in all and per host.

use super::*;

/// Ten probes that are due in the same second of each minute and take a second each.
fn crowd(target: &Arc<Target>) -> Vec<Job> {
    (0..10)
        .map(|number| {
            let mut job = every_30_s(&format!("crowd-{number}"), target);
            job.cadence.when = cron("* * * * *");
            job.cadence.timeout = Duration::from_millis(1_500);
            job
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_for_a_place_as_long_as_their_timeout_and_in_order() {
    let world = World::starting_with("2026-01-01T00:00:50Z", Limits { concurrency: 4, per_host: 100 });
    let target = Target::new(seconds(1), |_| Outcome::Ok);
    world.scheduler.replace(crowd(&target));
    world.until(60).await;
    assert_eq!(target.at(), [10.0, 10.0, 10.0, 10.0, 11.0, 11.0, 11.0, 11.0]);
    assert_eq!(target.starts()[7].firing.lag, seconds(1));
    assert_eq!(target.most.load(Ordering::Relaxed), 4);
    let names: Vec<_> = world.sink.results().iter().map(|result| result.identity.probe.to_string()).collect();
    assert_eq!(names, (0..8).map(|number| format!("crowd-{number}")).collect::<Vec<_>>());
    let (nine, ten) = ("crowd-8".to_owned(), "crowd-9".to_owned());
    assert_eq!(world.sink.skipped(), [(nine, Skipped::Concurrency, 1), (ten, Skipped::Concurrency, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_attempt_gives_up_in_time_for_its_next_slot() {
    let world = World::with(Limits { concurrency: 1, per_host: 1 });
    let (hog, waiting) = (Target::new(seconds(10_000), |_| Outcome::Ok), Target::instant());
    world.scheduler.replace(vec![every_30_s("p", &hog)]);
    world.until(2).await;
    let mut job = every_30_s("waiting", &waiting);
    job.cadence.when = When::Every(seconds(1));
    world.scheduler.replace(vec![every_30_s("p", &hog), job]);
    world.until(310).await;
    assert_eq!((hog.starts().len(), waiting.starts().len()), (1, 0));
    // Each of its slots was refused for want of a place, none for overlap with its own waiting. The last still waits.
    let mut skipped = world.sink.skipped();
    skipped.retain(|(name, ..)| name == "waiting");
    assert_eq!(skipped, [("waiting".to_owned(), Skipped::Concurrency, 307)]);
}

#[tokio::test(start_paused = true)]
async fn one_hosts_crowd_never_delays_another_hosts_probes() {
    let world = World::starting_with("2026-01-01T00:00:50Z", Limits { concurrency: 4, per_host: 2 });
    let (crowded, other) = (Target::new(seconds(50), |_| Outcome::Ok), Target::instant());
    let mut jobs = crowd(&crowded);
    for job in &mut jobs {
        job.host = Some("crowded.example".into());
        job.cadence.timeout = seconds(55);
    }
    let mut job = every_30_s("zz-other", &other);
    job.host = Some("other.example".into());
    job.cadence.when = cron("*/5 * * * * *");
    jobs.push(job);
    world.scheduler.replace(jobs);
    world.until(69).await;
    assert_eq!(crowded.most.load(Ordering::Relaxed), 2);
    let starts = other.starts();
    assert_eq!(starts.len(), 14);
    assert!(starts.iter().all(|start| start.firing.lag.is_zero()), "{starts:?}");
}
