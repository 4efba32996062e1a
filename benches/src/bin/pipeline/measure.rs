//! CPU time and memory of a child process, read from `/proc` so that nothing but the kernel's own accounts is trusted.

use anyhow::Context;
use std::process::Child;
use std::time::{Duration, Instant};

/// Kernel clock ticks a second in `/proc/PID/stat`: 100 on every Linux architecture of today (`USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;
/// Between two looks at the memory; peaks that the kernel keeps itself (`VmHWM`) do not depend on it.
const PERIOD: Duration = Duration::from_millis(20);

/// What a process used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_secs: f64,
    /// From start to end.
    pub(crate) wall_secs: f64,
    /// Peak resident memory, mapped files included.
    pub(crate) peak_rss_kib: u64,
    /// Highest sample of resident memory that is no file's.
    pub(crate) peak_anonymous_kib: u64,
}

/// Waits for the child's end. Its times are read while it is a zombie: they are complete then.
pub(crate) fn watch(child: &mut Child, started: Instant) -> anyhow::Result<Usage> {
    let folder = format!("/proc/{}", child.id());
    let mut usage = Usage::default();
    loop {
        let status = std::fs::read_to_string(format!("{folder}/status")).context("read the child's status")?;
        usage.peak_rss_kib = usage.peak_rss_kib.max(field(&status, "VmHWM:"));
        usage.peak_anonymous_kib = usage.peak_anonymous_kib.max(field(&status, "RssAnon:"));
        if status.lines().any(|line| line.starts_with("State:\tZ")) {
            break;
        }
        std::thread::sleep(PERIOD);
    }
    usage.wall_secs = started.elapsed().as_secs_f64();
    let stat = std::fs::read_to_string(format!("{folder}/stat")).context("read the child's times")?;
    usage.cpu_secs = cpu_ticks(&stat).context("times of the child")? / TICKS_PER_SEC;
    let status = child.wait().context("wait for the child")?;
    anyhow::ensure!(status.success(), "the child ended with {status}");
    Ok(usage)
}

/// Fields 14 and 15 (proc(5)); the name in parentheses may hold spaces.
fn cpu_ticks(stat: &str) -> Option<f64> {
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_spaces() {
        assert_eq!(cpu_ticks("7 (a b) c) S 1 1 1 0 -1 0 0 0 0 0 120 30 0 0 20"), Some(150.0));
        assert_eq!(cpu_ticks("7"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(field("VmPeak:\t 9 kB\nVmHWM:\t  1234 kB\n", "VmHWM:"), 1234);
        assert_eq!(field("", "VmHWM:"), 0);
    }
}
