//! The function library: its text, its name, and how it is put on a server.
//!
//! Name and functions carry the version and a hash of the text, so that two versions of this program use one server side
//! by side. Where functions are refused, the same text is kept as two scripts: one that may run when memory is used
//! up, one that may not.

use super::fault;
use crate::redis::codes;
use crate::{Error, Result};
use argiope_protocol::sabotage::Fault;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError};
use std::fmt::Write as _;
use std::sync::LazyLock;

const PARTS: [&str; 11] = [
    include_str!("../lua/base.lua"),
    include_str!("../lua/seen.lua"),
    include_str!("../lua/claims.lua"),
    include_str!("../lua/hosts.lua"),
    include_str!("../lua/admit.lua"),
    include_str!("../lua/lease.lua"),
    include_str!("../lua/jobs.lua"),
    include_str!("../lua/lists.lua"),
    include_str!("../lua/registry.lua"),
    include_str!("../lua/nodes.lua"),
    include_str!("../lua/addresses.lua"),
];

/// Grows with each change of what lies under which key.
const VERSION: u32 = 2;
/// How far epochs jump when the end of the history may be lost: more claims than are made between two syncs.
pub(in crate::redis) const EPOCH_JUMP: u64 = 1_024;
/// Texts of skipped URLs that are kept per job and shard where the page store keeps those of pages.
pub(in crate::redis) const MAX_SKIPPED_TEXTS: u64 = 1_000;
/// Pages of a job's limit that a shard is given at most beyond its need.
const MAX_SLICE: u64 = 4_096;
/// Expired leases and due retries that one call moves.
const MAX_MOVED: u64 = 256;

/// Names of the functions, and whether they may run when memory is used up, by the lines that declare them.
static CALLS: LazyLock<Vec<(String, bool)>> = LazyLock::new(|| {
    let calls = PARTS.iter().flat_map(|part| part.lines()).filter_map(|line| line.strip_prefix("call('"));
    let read = |line: &str| {
        let may_exceed = line.contains("'allow-oom'") || line.contains("'no-writes'");
        line.split_once('\'').map(|(name, _)| (name.to_owned(), may_exceed))
    };
    calls.filter_map(read).collect()
});

fn may_exceed_memory(function: &str) -> bool {
    CALLS.iter().any(|(name, may_exceed)| name == function && *may_exceed)
}

fn constants() -> String {
    let mut text = String::new();
    let numbers = [
        ("MAX_TIME", codes::MAX_MILLIS),
        ("EPOCH_JUMP", EPOCH_JUMP),
        ("MAX_SKIPPED_TEXTS", MAX_SKIPPED_TEXTS),
        ("MAX_SLICE", MAX_SLICE),
        ("MAX_MOVED", MAX_MOVED),
        ("MAX_LOSSES", u64::from(crate::frontier::MAX_LOSSES)),
        ("MAX_SAMPLES", crate::frontier::MAX_REJECT_SAMPLES as u64),
        ("MAX_SAMPLE_BYTES", codes::MAX_SAMPLE_CHARS as u64),
        ("BACKOFF_BASE", codes::BACKOFF_BASE_MS),
        ("BACKOFF_MAX", codes::BACKOFF_MAX_MS),
        ("CANCELLED", u64::from(codes::cancelled())),
        ("LEASE_LOST", u64::from(codes::lease_lost())),
    ];
    for (name, number) in numbers {
        let _ = writeln!(text, "local {name} = {number}");
    }
    // Always false but in a build that tests whether a broken gate or fence is noticed.
    for (name, fault) in [("IS_GATE_BROKEN", Fault::Gate), ("IS_FENCE_BROKEN", Fault::Fence)] {
        let _ = writeln!(text, "local {name} = {}", fault.is_armed());
    }
    let _ = writeln!(text, "local OVER_BUDGET = '{}'", argiope_protocol::RejectReason::OverBudget.code());
    text
}

/// The text without its frame.
static BODY: LazyLock<String> = LazyLock::new(|| constants() + &PARTS.concat());

/// Version and hash of the text.
static TAG: LazyLock<String> =
    LazyLock::new(|| format!("argiope_{VERSION}_{}", &blake3::hash(BODY.as_bytes()).to_hex()[..12]));

fn library_text() -> String {
    let mut text = format!("#!lua name={}\n{}\n", *TAG, *BODY);
    // One by one: while a library is loaded there is no `pairs`.
    for (name, _) in &*CALLS {
        let _ = writeln!(
            text,
            "redis.register_function{{ function_name = '{}_{name}', callback = calls.{name}.run, flags = calls.{name}.flags }}",
            *TAG
        );
    }
    text
}

/// The text as a script; the function's name is its last argument.
fn script_text(may_exceed: bool) -> String {
    let flags = if may_exceed { " flags=allow-oom" } else { "" };
    format!("#!lua{flags}\n{}\nreturn calls[table.remove(ARGV)].run(KEYS, ARGV)\n", *BODY)
}

/// How a server runs the functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Library {
    /// As functions.
    Functions,
    /// As scripts, by their digests.
    Scripts { within_memory: String, may_exceed: String },
}

impl Library {
    /// Puts the text on a server.
    pub(super) async fn load(connection: &mut MultiplexedConnection) -> Result<Self> {
        let loaded = redis::cmd("FUNCTION").arg("LOAD").arg(library_text()).query_async::<String>(connection).await;
        match loaded {
            Ok(_) => return Ok(Self::Functions),
            Err(error) if error.detail().is_some_and(|detail| detail.contains("already exists")) => {
                return Ok(Self::Functions);
            }
            Err(error) if !is_refused(&error) => return Err(fault::error("load functions", &error)),
            Err(error) => tracing::debug!(%error, "server refuses functions, scripts are used"),
        }
        let mut digests = Vec::with_capacity(2);
        for may_exceed in [false, true] {
            let loaded = redis::cmd("SCRIPT").arg("LOAD").arg(script_text(may_exceed)).query_async(connection).await;
            let digest: String = loaded.map_err(|error| fault::error("load scripts", &error))?;
            digests.push(digest);
        }
        let [within_memory, may_exceed] = <[String; 2]>::try_from(digests).map_err(|_| Error::Closed)?;
        Ok(Self::Scripts { within_memory, may_exceed })
    }

    /// The command that runs a function.
    pub(super) fn command(&self, function: &'static str, base: &str, args: &[Vec<u8>]) -> Cmd {
        match self {
            Self::Functions => {
                let mut command = redis::cmd("FCALL");
                command.arg(format!("{}_{function}", *TAG)).arg(1).arg(base).arg(args);
                command
            }
            Self::Scripts { within_memory, may_exceed } => {
                let digest = if may_exceed_memory(function) { may_exceed } else { within_memory };
                let mut command = redis::cmd("EVALSHA");
                command.arg(digest).arg(1).arg(base).arg(args).arg(function);
                command
            }
        }
    }
}

/// The server knows no functions, or the user may not load them.
fn is_refused(error: &RedisError) -> bool {
    let text = error.to_string().to_lowercase();
    text.contains("unknown command") || text.contains("noperm") || text.contains("permission")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admitting_is_refused_when_memory_is_used_up_and_settling_is_not() {
        for (function, may) in [("admit", false), ("create", false), ("settle", true), ("lease", true), ("hosts", true)]
        {
            assert_eq!(may_exceed_memory(function), may, "{function}");
        }
    }
}
