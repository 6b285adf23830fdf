//! What a hostile peer costs in memory.
//!
//! Measured in a process of its own, since the tests beside it allocate too: this binary runs itself with one ignored
//! test, which resets the kernel's high-water mark before each peer and reads it after.

use std::path::Path;
use std::process::Command;

use forewarn::base::bounded::read_file;

use super::rows;

/// What an attempt may add to the memory of a process, in KiB, with what the peer itself takes in this same process.
const LIMIT: u64 = 8 * 1024;

#[test]
fn no_peer_costs_more_than_8_mib() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["hostile::cost::in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        // Memory that was freed goes back to the kernel at once, so that one peer's cannot hide the next one's.
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        .env("MALLOC_TRIM_THRESHOLD_", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "run by no_peer_costs_more_than_8_mib"]
async fn in_a_process_of_its_own() {
    let rows = rows();
    assert!(rows.len() > 80, "{}", rows.len());
    // The first attempt brings what all share: trust roots, the resolver, thread stacks.
    rows[0].play().await;
    for row in &rows {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS:");
        let result = row.play().await;
        let cost = status("VmHWM:").saturating_sub(before);
        println!("{cost:>8} KiB  {:>9.1?}  {}", result.took, row.name);
        assert!(cost < LIMIT, "{} costs {cost} KiB", row.name);
    }
}

/// A line of `/proc/self/status`, in KiB.
fn status(key: &str) -> u64 {
    let text = String::from_utf8(read_file(Path::new("/proc/self/status"), 65_536).unwrap()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
