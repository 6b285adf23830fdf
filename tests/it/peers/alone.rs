//! Measuring memory in a process of its own, since the tests beside it allocate too: this binary runs itself with one ignored
//! test, which resets the kernel's high-water mark before each thing measured and reads it after.

use std::path::Path;
use std::process::Command;

use forewarn::base::bounded::read_file;

/// Runs the ignored test `name` of this binary alone, and passes when it does.
pub(crate) fn pass_alone(name: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture"])
        // Memory that was freed goes back to the kernel at once, so that what was measured before cannot hide what comes next.
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        .env("MALLOC_TRIM_THRESHOLD_", "0")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

/// What `work` adds to the memory of this process at its height, in KiB, and what came of it.
pub(crate) async fn memory_of<T>(work: impl Future<Output = T>) -> (u64, T) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS:");
    let done = work.await;
    (status("VmHWM:").saturating_sub(before), done)
}

/// A line of `/proc/self/status`, in KiB.
fn status(key: &str) -> u64 {
    let text = String::from_utf8(read_file(Path::new("/proc/self/status"), 65_536).unwrap()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
