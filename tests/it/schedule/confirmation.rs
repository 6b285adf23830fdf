//! The second look at a first failure.

use super::*;

/// Lets `p` run for `until` seconds with the given outcomes (then all ok), and a second look 2 s after a failure.
async fn looked(times: u32, until: u64, outcomes: &'static [Option<Reason>]) -> (World, Arc<Target>) {
    let world = World::new();
    let target = Target::new(Duration::ZERO, |number| outcome(outcomes, number));
    let mut job = every_30_s("p", &target);
    job.cadence.confirm = Some(confirm(2, times));
    world.scheduler.replace(vec![job]);
    world.until(until).await;
    (world, target)
}

fn outcome(outcomes: &[Option<Reason>], number: usize) -> Outcome {
    outcomes.get(number).copied().flatten().map_or(Outcome::Ok, failed)
}

const DOWN: Option<Reason> = Some(Reason::Connect);
const UP: Option<Reason> = None;

#[tokio::test(start_paused = true)]
async fn a_success_settles_it_and_the_slots_stay() {
    let (world, target) = looked(3, 70, &[DOWN, UP]).await;
    assert_eq!(target.at(), [1.0, 3.0, 31.0, 61.0]);
    assert_eq!(target.triggers()[..3], [Trigger::Schedule, Trigger::Confirmation(1), Trigger::Schedule]);
    assert_eq!(world.sink.confirmed(), [("p".to_owned(), true)]);
    // The first failure is there all the same.
    assert!(!world.sink.results()[0].outcome.is_success());
}

#[tokio::test(start_paused = true)]
async fn it_is_looked_at_as_often_as_asked_and_again_only_after_a_recovery() {
    let (world, target) = looked(2, 130, &[DOWN, DOWN, DOWN, DOWN, UP, DOWN, DOWN, UP]).await;
    assert_eq!(target.at(), [1.0, 3.0, 5.0, 31.0, 61.0, 91.0, 93.0, 95.0, 121.0]);
    let looks: Vec<_> = target.triggers().into_iter().filter(|trigger| *trigger != Trigger::Schedule).collect();
    let (one, two) = (Trigger::Confirmation(1), Trigger::Confirmation(2));
    assert_eq!(looks, [one, two, one, two]);
    assert_eq!(world.sink.confirmed(), [("p".to_owned(), false), ("p".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn the_agents_own_trouble_is_looked_at_again_but_not_what_seconds_cannot_change() {
    let (_, target) = looked(1, 20, &[Some(Reason::Agent)]).await;
    assert_eq!(target.at(), [1.0, 3.0]);
    for reasons in [
        &[Some(Reason::Budget)],
        &[Some(Reason::Config)],
        &[Some(Reason::Quota)],
        &[Some(Reason::Skipped)] as &'static [Option<Reason>],
    ] {
        let (world, target) = looked(1, 20, reasons).await;
        assert_eq!(target.at(), [1.0], "{reasons:?}");
        assert_eq!(world.sink.confirmed(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_comes_during_a_look_follows_the_overlap_policy() {
    let world = World::new();
    let target = Target::new(seconds(20), |number| outcome(&[DOWN, UP], number));
    let mut job = every_30_s("p", &target);
    job.cadence.confirm = Some(confirm(2, 1));
    world.scheduler.replace(vec![job]);
    world.until(70).await;
    // 1 to 21 fails; looked at from 23 to 43; 31 is left out.
    assert_eq!(target.at(), [1.0, 23.0, 61.0]);
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::Overlap, 1)]);
    assert_eq!(world.sink.confirmed(), [("p".to_owned(), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_meets_a_running_attempt_is_left_out_and_spent() {
    let world = World::new();
    let target = Target::new(seconds(10), |number| outcome(&[DOWN], number));
    let mut job = every_30_s("p", &target);
    job.cadence.confirm = Some(confirm(22, 1));
    world.scheduler.replace(vec![job]);
    world.until(100).await;
    // 1 to 11 fails; the look at 33 meets the slot of 31.
    assert_eq!(target.at(), [1.0, 31.0, 61.0, 91.0]);
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::Overlap, 1)]);
    assert_eq!(world.sink.confirmed(), []);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_a_pending_look_and_one_without_confirm_drops_it() {
    for (kept, expected) in [(true, [1.0, 3.0].as_slice()), (false, &[1.0])] {
        let world = World::new();
        let target = Target::new(Duration::ZERO, |number| outcome(&[DOWN], number));
        let job = |asked: bool| {
            let mut job = every_30_s("p", &target);
            job.cadence.confirm = asked.then_some(confirm(2, 1));
            vec![job]
        };
        world.scheduler.replace(job(true));
        world.until(2).await;
        world.scheduler.replace(job(kept));
        world.until(20).await;
        assert_eq!(target.at(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_is_spent_and_the_others_still_count() {
    let world = World::new();
    let target = Target::new(Duration::ZERO, |number| {
        assert!(number % 2 == 0, "every second attempt panics, as this test wants");
        failed(Reason::Connect)
    });
    let mut job = every_30_s("p", &target);
    job.cadence.confirm = Some(confirm(2, 3));
    world.scheduler.replace(vec![job]);
    world.until(20).await;
    assert_eq!(target.at(), [1.0, 3.0, 5.0, 7.0]);
    assert_eq!(world.sink.confirmed(), [("p".to_owned(), false)]);
}
