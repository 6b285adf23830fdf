//! What a hostile peer costs in memory.

use super::rows;
use crate::peers::alone::{memory_of, pass_alone};

/// What an attempt may add to the memory of a process, in KiB, with what the peer itself takes in this same process.
const LIMIT: u64 = 8 * 1024;

#[test]
fn no_peer_costs_more_than_8_mib() {
    pass_alone("hostile::cost::in_a_process_of_its_own");
}

#[tokio::test]
#[ignore = "run by no_peer_costs_more_than_8_mib"]
async fn in_a_process_of_its_own() {
    let rows = rows();
    assert!(rows.len() > 80, "{}", rows.len());
    // The first attempt brings what all share: trust roots, the resolver, thread stacks.
    rows[0].play().await;
    for row in &rows {
        let (cost, result) = memory_of(row.play()).await;
        println!("{cost:>8} KiB  {:>9.1?}  {}", result.took, row.name);
        assert!(cost < LIMIT, "{} costs {cost} KiB", row.name);
    }
}
