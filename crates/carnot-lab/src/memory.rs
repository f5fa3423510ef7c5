//! How much memory this process may still take.

use std::fs;

/// Bytes in a GiB.
pub const GIB: f64 = 1_073_741_824.0;

/// Share of the free memory that one command plans for: others need some too.
const SHARE: f64 = 0.8;

/// For programs, at their start: what has been freed is kept for the next time, up to 64 MiB ([`carnot_math::device::keep_freed`]).
pub fn keep_freed() {
    carnot_math::device::keep_freed();
}

/// Bytes that may be planned with: `wanted` GiB when given, else what the machine, the control group and the limits of the
/// process leave, of which a fifth is kept back.
pub fn budget(wanted: Option<f64>) -> f64 {
    wanted.map_or_else(|| SHARE * free(), |gib| gib * GIB)
}

/// The least of what the machine has available, what the control group allows and what `ulimit -v` leaves. Where nothing
/// can be read, 4 GiB: a machine without these files is still likely to have that.
fn free() -> f64 {
    let known = [available(), control_group(), limit()];
    known.into_iter().flatten().reduce(f64::min).unwrap_or(4.0 * GIB)
}

fn available() -> Option<f64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

fn control_group() -> Option<f64> {
    let most = fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse::<f64>().ok()?;
    let used = fs::read_to_string("/sys/fs/cgroup/memory.current").ok()?.trim().parse::<f64>().ok()?;
    Some((most - used).max(0.0))
}

fn limit() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let most = line.split_whitespace().next()?.parse::<f64>().ok()?;
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    let used = pages.split_whitespace().next()?.parse::<f64>().ok()? * 4096.0;
    Some((most - used).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_the_budget_and_what_is_free_is_positive() {
        assert_eq!(budget(Some(2.0)), 2.0 * GIB);
        let found = budget(None);
        assert!(found.is_finite() && found > 0.0, "{found}");
    }
}
