//! How a schedule ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn running_attempts_get_the_grace_and_nothing_else_starts() {
    let world = World::starting_with("2026-01-01T00:00:59Z", Limits { concurrency: 2, per_host: 2 });
    let (quick, slow, waiting) =
        (Target::new(seconds(5), |_| Outcome::Ok), Target::new(seconds(500), |_| Outcome::Ok), Target::instant());
    let mut jobs = vec![every_30_s("a", &quick), every_30_s("b", &slow), every_30_s("c", &waiting)];
    for job in &mut jobs {
        job.cadence.when = cron("* * * * *");
        job.cadence.timeout = seconds(600);
    }
    world.scheduler.replace(jobs);
    world.until(2).await;
    let stopped = world.scheduler.stop(seconds(10)).await;
    assert_eq!(stopped, Stopped { finished: 1, aborted: 1 });
    assert_eq!(world.elapsed(), seconds(12));
    // The aborted attempt is gone, not only forgotten.
    assert_eq!(slow.running.load(Ordering::Relaxed), 0);
    assert_eq!(world.sink.results().len(), 1);
    assert_eq!(world.sink.skipped(), []);

    world.scheduler.replace(vec![every_30_s("d", &waiting)]);
    world.until(300).await;
    assert_eq!((quick.starts().len(), slow.starts().len(), waiting.starts().len()), (1, 1, 0));
    assert_eq!(world.scheduler.stop(seconds(10)).await, Stopped::default());
}

#[tokio::test(start_paused = true)]
async fn an_idle_schedule_stops_at_once() {
    let world = World::new();
    world.scheduler.replace(vec![every_30_s("p", &Target::instant())]);
    world.until(20).await;
    assert_eq!(world.scheduler.stop(seconds(10)).await, Stopped::default());
    assert_eq!(world.elapsed(), seconds(20));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_schedule_aborts_everything() {
    let World { scheduler, start, sink, .. } = World::new();
    let target = Target::new(seconds(20), |_| Outcome::Ok);
    scheduler.replace(vec![every_30_s("p", &target)]);
    sleep_until(start + seconds(5)).await;
    assert_eq!(target.running.load(Ordering::Relaxed), 1);
    drop(scheduler);
    sleep_until(start + seconds(100)).await;
    assert_eq!((target.running.load(Ordering::Relaxed), sink.results().len()), (0, 0));
}
