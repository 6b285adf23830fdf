//! Slots, reloads and first looks: what runs when.
//!
//! The slots themselves are tested beside `cadence.rs`.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_day_of_a_30_s_probe_is_2880_runs() {
    let world = World::new();
    let target = Target::instant();
    world.scheduler.replace(vec![every_30_s("p", &target)]);
    world.until(86_400).await;
    let starts = target.starts();
    assert_eq!(starts.len(), 2_880);
    for (number, start) in starts.iter().enumerate() {
        assert_eq!(start.at, seconds(1 + 30 * number as u64));
        assert_eq!(start.firing.lag, Duration::ZERO);
        assert_eq!(start.firing.scheduled_at, world.wall(start.at));
    }
    assert_eq!(world.sink.results().len(), 2_880);
    assert_eq!(world.sink.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_reloads_every_second_loses_and_doubles_nothing() {
    let world = World::new();
    // Under way at six reloads each; a confirmation is pending at one and runs at five.
    let target = Target::new(seconds(5), |number| if number % 4 == 0 { failed(Reason::Timeout) } else { Outcome::Ok });
    let others: Vec<_> = (0..20).map(|number| (format!("other-{number}"), Target::instant())).collect();
    for second in 0..3_600 {
        let mut job = every_30_s("p", &target);
        job.cadence.confirm = Some(confirm(1, 1));
        job.cadence.timeout = seconds(10 + second % 2);
        let mut jobs: Vec<_> = others.iter().map(|(name, other)| every_30_s(name, other)).collect();
        jobs.insert(usize::try_from(second % 20).unwrap(), job);
        world.scheduler.replace(jobs);
        world.until(second + 1).await;
    }
    let starts = target.starts();
    let slots = starts.iter().filter(|start| start.firing.trigger == Trigger::Schedule);
    assert_eq!(
        slots.map(|start| start.at).collect::<Vec<_>>(),
        (0..120).map(|n| seconds(1 + 30 * n)).collect::<Vec<_>>()
    );
    // Attempt 0 fails and is confirmed by attempt 1; attempt 4 fails, and so on: three slots, one confirmation.
    let looks = starts.iter().filter(|start| start.firing.trigger == Trigger::Confirmation(1)).count();
    assert_eq!((looks, world.sink.confirmed()), (40, vec![("p".to_owned(), true); 40]));
    for (name, other) in &others {
        assert_eq!(other.starts().len(), 120, "{name}");
    }
    assert_eq!(world.sink.skipped(), []);
}

#[tokio::test(start_paused = true)]
async fn a_removed_job_fires_no_more_and_its_last_result_arrives() {
    let world = World::new();
    let target = Target::new(seconds(10), |_| failed(Reason::Timeout));
    let mut job = every_30_s("p", &target);
    job.cadence.confirm = Some(confirm(2, 3));
    world.scheduler.replace(vec![job]);
    world.until(5).await;
    world.scheduler.replace(Vec::new());
    world.until(300).await;
    assert_eq!((target.starts().len(), world.sink.results().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_back_is_not_confused_with_the_one_that_left() {
    let world = World::new();
    let (old, new) = (Target::new(seconds(90), |_| Outcome::Ok), Target::new(seconds(45), |_| Outcome::Ok));
    world.scheduler.replace(vec![every_30_s("p", &old)]);
    world.until(5).await;
    world.scheduler.replace(Vec::new());
    world.until(10).await;
    world.scheduler.replace(vec![every_30_s("p", &new)]);
    // The old attempt ends at 91, while the new one (61 is left out) runs from 91 on.
    world.until(125).await;
    assert_eq!(new.at(), [31.0, 91.0]);
    assert_eq!(world.sink.skipped(), [("p".to_owned(), Skipped::Overlap, 2)]);
}

#[tokio::test(start_paused = true)]
async fn changed_times_count_from_the_reload() {
    let world = World::new();
    let target = Target::instant();
    world.scheduler.replace(vec![every_30_s("p", &target)]);
    world.until(40).await;
    let mut job = every_30_s("p", &target);
    job.cadence.when = cron("*/10 * * * * *");
    world.scheduler.replace(vec![job]);
    world.until(70).await;
    let starts = target.starts();
    assert_eq!(starts.len(), 2 + 3);
    assert!(starts[2..].iter().all(|start| start.firing.scheduled_at.as_second() % 10 == 0));
}

#[tokio::test(start_paused = true)]
async fn of_two_jobs_with_one_name_the_later_counts() {
    let world = World::new();
    let (one, two) = (Target::instant(), Target::instant());
    world.scheduler.replace(vec![every_30_s("p", &one), every_30_s("p", &two)]);
    world.until(60).await;
    assert_eq!((one.starts().len(), two.starts().len()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_rare_probe_is_looked_at_soon_and_then_keeps_its_slots() {
    let world = World::new();
    let hourly = When::Every(seconds(3_600));
    let targets: Vec<_> = (0..200).map(|number| (format!("hourly-{number}"), Target::instant())).collect();
    let jobs = |when: &When| {
        let job = |(name, target): &(String, Arc<Target>)| {
            let mut job = every_30_s(name, target);
            job.cadence.when = when.clone();
            job
        };
        targets.iter().map(job).collect::<Vec<_>>()
    };
    // A reload every second that changes the interval does not put the first look off.
    for second in 0..31 {
        world.scheduler.replace(jobs(&if second % 2 == 0 { hourly.clone() } else { When::Every(seconds(7_200)) }));
        world.until(second + 1).await;
    }
    let mut tenths = [0; 10];
    for (name, target) in &targets {
        let starts = target.at();
        assert_eq!(starts.len(), 1, "{name}");
        assert!(starts[0] <= FIRST_LOOK.as_secs_f64(), "{name}");
        tenths[usize::try_from(target.starts()[0].at.as_secs() / 3).unwrap()] += 1;
    }
    assert!(tenths.iter().all(|count| (4..=40).contains(count)), "{tenths:?}");
    world.until(6 * 3_600).await;
    for (name, target) in &targets {
        let starts = target.starts();
        assert!((6..=7).contains(&starts.len()), "{name}: {}", starts.len());
        let gaps = target.gaps();
        assert!(gaps[0] >= seconds(1_800), "{name}: {gaps:?}");
        assert!(gaps[1..].iter().all(|gap| *gap == seconds(3_600)), "{name}: {gaps:?}");
        let wall = u128::try_from(starts[1].firing.scheduled_at.as_millisecond()).unwrap();
        assert_eq!(wall % 3_600_000, phase(seconds(3_600), name, REGION).as_millis(), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn cron_runs_at_its_moments_only() {
    let world = World::starting("2026-03-28T23:00:00Z");
    let (daily, never) = (Target::instant(), Target::instant());
    let mut jobs = vec![every_30_s("daily", &daily), every_30_s("never", &never)];
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    jobs[0].cadence.when = When::Cron { expression: "30 2 * * *".parse().unwrap(), zone };
    jobs[1].cadence.when = cron("0 0 30 2 *");
    world.scheduler.replace(jobs);
    world.until(26 * 3_600).await;
    let walls: Vec<_> = daily.starts().iter().map(|start| start.firing.scheduled_at.to_string()).collect();
    // On the 29th the clocks of Berlin jump from 02:00 to 03:00.
    assert_eq!(walls, ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    assert!(never.starts().is_empty());
}
