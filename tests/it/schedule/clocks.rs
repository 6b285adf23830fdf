//! Wall clocks that jump, machines that sleep, agents that are late.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_step_of_the_wall_clock_causes_neither_burst_nor_stall() {
    for step in [1, -1, 3_600, -3_600, 86_400, -86_400, 10, -10, 20, -20] {
        for second in [2, 10, 20, 30] {
            let world = World::new();
            let target = Target::instant();
            world.scheduler.replace(vec![every_30_s("p", &target)]);
            world.until(300 + second).await;
            world.clock.step(step * 1_000);
            world.until(1_200).await;
            let starts = target.starts();
            let gaps = target.gaps();
            assert!(gaps.iter().all(|gap| (seconds(15)..seconds(45)).contains(gap)), "{step} at {second}: {gaps:?}");
            // Once the step is behind, the slots are those of the new time, and one more.
            for start in starts.iter().filter(|start| start.at > seconds(360)) {
                let wall = u128::try_from(start.firing.scheduled_at.as_millisecond()).unwrap();
                assert_eq!(wall % 30_000, phase(EVERY, "p", REGION).as_millis(), "{step} at {second}");
            }
            assert!((39..=41).contains(&starts.len()), "{step} at {second}: {}", starts.len());
            assert_eq!(world.sink.skipped(), [], "a step is not late");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_for_hours_wakes_to_its_usual_rhythm() {
    let world = World::new();
    let targets: Vec<_> = (0..1_000).map(|number| (format!("probe-{number}"), Target::instant())).collect();
    world.scheduler.replace(targets.iter().map(|(name, target)| every_30_s(name, target)).collect());
    world.until(100).await;
    // While a machine sleeps, only its wall clock goes on.
    world.clock.step(8 * 3_600_000 + 12_345);
    world.until(400).await;
    let mut per_second = HashMap::new();
    for (name, target) in &targets {
        let gaps = target.gaps();
        assert!(gaps.iter().all(|gap| (seconds(15)..seconds(45)).contains(gap)), "{name}: {gaps:?}");
        for start in target.starts() {
            *per_second.entry(start.at.as_secs()).or_insert(0) += 1;
        }
    }
    // 33 a second is the mean.
    assert!(per_second.values().all(|count| *count < 100), "{per_second:?}");
    assert_eq!(world.sink.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn a_cron_moment_slept_through_is_made_up_for_once() {
    let world = World::starting("2026-01-01T08:00:00Z");
    let target = Target::instant();
    let mut job = every_30_s("p", &target);
    job.cadence.when = cron("0 9 * * *");
    world.scheduler.replace(vec![job]);
    world.until(60).await;
    world.clock.step(3 * 86_400_000);
    world.until(26 * 3_600).await;
    let starts = target.at();
    assert!((60.0..=62.0).contains(&starts[0]), "{starts:?}");
    // The next are 09:00 of the following days, told by the new time. The first of them, an hour away, is passed over.
    assert_eq!(starts[1..], [3_600.0 + 86_400.0]);
}

#[tokio::test(start_paused = true)]
async fn slots_missed_by_a_late_agent_are_counted() {
    let world = World::new();
    let target = Target::instant();
    world.scheduler.replace(vec![every_30_s("p", &target)]);
    world.until(10).await;
    // Nothing gets a turn until 110.
    tokio::time::advance(seconds(100)).await;
    world.until(130).await;
    assert_eq!(target.at(), [1.0, 110.0, 121.0]);
    let late = &target.starts()[1].firing;
    assert_eq!((late.lag, late.scheduled_at), (seconds(19), world.wall(seconds(91))));
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::Late, 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_a_late_agent_finds_waiting_loses_no_slot() {
    let world = World::new();
    let target = Target::instant();
    world.scheduler.replace(vec![every_30_s("p", &target)]);
    world.until(10).await;
    world.scheduler.replace(vec![every_30_s("p", &target)]);
    tokio::time::advance(seconds(25)).await;
    world.until(62).await;
    assert_eq!(target.at(), [1.0, 35.0, 61.0]);
    assert_eq!(target.starts()[1].firing.lag, seconds(4));
}
