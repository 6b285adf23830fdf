//! A line that shows, on a terminal, that something is being waited for and for how long.

use std::io::Write;
use std::time::Duration;

use crate::base::clock::Instant;
use crate::base::duration::shown;

/// Waits for `work`; after half a second, says on standard error how long it has been waiting for `what`, and how far that
/// has come, where that is known.
pub(super) async fn shown_while<T>(
    what: &str,
    how_far: impl Fn() -> Option<String>,
    work: impl Future<Output = T>,
) -> T {
    let mut work = std::pin::pin!(work);
    let start = Instant::now();
    let mut ticks = tokio::time::interval_at(start + PATIENCE, TICK);
    let mut is_drawn = false;
    loop {
        tokio::select! {
            done = &mut work => {
                if is_drawn {
                    draw("\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick() => {
                is_drawn = true;
                let so_far = how_far().unwrap_or_else(|| format!("… {}", shown(start.elapsed())));
                draw(&format!("\r\x1b[K{what}  {so_far}"));
            }
        }
    }
}

/// A terminal that cannot be written to is no reason to stop waiting.
fn draw(text: &str) {
    let mut err = anstream::stderr();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(100);
