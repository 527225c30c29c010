//! The machine that all of this runs on, and what else it is doing.

use crate::Result;
use std::fs::read_to_string;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The kernel's clock ticks a second, the same on every Linux (`USER_HZ`).
const TICKS: f64 = 100.0;

/// How long a run waits for a machine that does something else; then it goes on, and the figures tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// For so long it has to be at rest.
const LOOK: Duration = Duration::from_millis(300);

/// A machine at rest uses less than this share of a core.
const AT_REST: f64 = 0.1;

/// CPU seconds of a process, or of `self`.
pub(crate) fn cpu_seconds(pid: &str) -> Result<f64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th after it.
    let rest = stat.rsplit_once(") ").ok_or("stat has a name")?.1;
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|text| text.parse().unwrap_or(0_u64)).sum();
    Ok(ticks as f64 / TICKS)
}

/// CPU seconds of everything, since the machine started.
pub(crate) fn busy_seconds() -> Result<f64> {
    let stat = read_to_string("/proc/stat")?;
    let numbers = stat.lines().next().ok_or("stat has a line")?.split_whitespace().skip(1);
    let ticks: Vec<u64> = numbers.map(|text| text.parse().unwrap_or(0)).collect();
    // user, nice, system, (idle, iowait), irq, softirq.
    Ok([0, 1, 2, 5, 6].into_iter().filter_map(|at| ticks.get(at)).sum::<u64>() as f64 / TICKS)
}

/// Waits until the machine is at rest, or for as long as is bearable.
pub(crate) async fn rest() -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        let (before, since) = (busy_seconds()?, Instant::now());
        sleep(LOOK).await;
        if busy_seconds()? - before < AT_REST * since.elapsed().as_secs_f64() {
            break;
        }
    }
    Ok(())
}
