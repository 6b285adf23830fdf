//! What becomes of an attempt that is due while the one before still runs.

use super::*;

/// Five minutes of a probe that takes 65 s.
async fn ran(overlap: Overlap) -> (World, Arc<Target>) {
    let world = World::new();
    let target = Target::new(seconds(65), |_| Outcome::Ok);
    let mut job = every_30_s("p", &target);
    job.cadence.overlap = overlap;
    job.cadence.timeout = seconds(100);
    world.scheduler.replace(vec![job]);
    world.until(300).await;
    (world, target)
}

#[tokio::test(start_paused = true)]
async fn skip_leaves_out_what_is_due_meanwhile() {
    let (world, target) = ran(Overlap::Skip).await;
    assert_eq!(target.at(), [1.0, 91.0, 181.0, 271.0]);
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::Overlap, 6)]);
    assert_eq!(target.most.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn queue_keeps_the_oldest_and_counts_its_wait_as_lag() {
    let (world, target) = ran(Overlap::Queue).await;
    assert_eq!(target.at(), [1.0, 66.0, 131.0, 196.0, 261.0]);
    let wanted: Vec<_> =
        target.starts().iter().map(|start| start.at.saturating_sub(start.firing.lag).as_secs()).collect();
    assert_eq!(wanted, [1, 31, 91, 151, 211]);
    // 61, 121, 181, 241; 271 waits.
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::QueueFull, 4)]);
    assert_eq!(target.most.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn allow_runs_them_side_by_side() {
    let (world, target) = ran(Overlap::Allow).await;
    assert_eq!(target.at(), (0..10).map(|n| f64::from(1 + 30 * n)).collect::<Vec<_>>());
    assert_eq!(world.sink.skipped(), []);
    assert_eq!(target.most.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_panic_frees_the_place_and_the_next_slot_runs() {
    let world = World::with(Limits { concurrency: 1, per_host: 1 });
    let target = Target::new(seconds(1), |number| {
        assert!(number != 0, "the first attempt panics, as this test wants");
        Outcome::Ok
    });
    let mut job = every_30_s("p", &target);
    job.host = Some("host".into());
    world.scheduler.replace(vec![job]);
    world.until(70).await;
    assert_eq!(target.at(), [1.0, 31.0, 61.0]);
    assert_eq!(world.sink.results().len(), 2);
    assert_eq!(world.sink.skipped(), []);
}
