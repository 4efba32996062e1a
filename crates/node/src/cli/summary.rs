//! The end of a crawl in numbers: the ledger, the reasons, and what to do next.

use super::output;
use argiope_protocol::{ErrorCode, FailReason, JobCounters, JobId, JobState, SkipReason};
use argiope_store::frontier::JobRecord;
use std::fmt::Write as _;
use std::time::Duration;

/// Reasons shown; the rest is summed up.
const MAX_REASONS: usize = 12;

/// Where the data is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name in objects: `data_dir` or `endpoint`.
    pub(crate) key: &'static str,
    /// The directory, or the node's URL.
    pub(crate) text: String,
}

/// How a crawl ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// The job's last state.
    pub(crate) record: JobRecord,
    /// Whether the user stopped it.
    pub(crate) is_interrupted: bool,
    /// Since the command began.
    pub(crate) elapsed: Duration,
    /// What the first page's links said about the scope.
    pub(crate) scope_hint: Option<String>,
}

impl Ending {
    /// The exit status, as `argiope --help` lists them.
    pub(crate) fn exit_status(&self) -> u8 {
        self.code().map_or(0, ErrorCode::exit_code)
    }

    /// What kept the crawl from storing everything, if anything did.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        let JobRecord { counters, reasons, .. } = &self.record;
        if self.is_interrupted {
            return Some(ErrorCode::Interrupted);
        }
        let n_pages = counters.stored + counters.unchanged;
        let count = |code: &str| reasons.get(code).copied().unwrap_or_default();
        let n_denied = count(FailReason::EgressDenied.code());
        let n_forbidden = count(SkipReason::RobotsDenied.code());
        let is_nothing_allowed = n_pages == 0
            && counters.is_finished()
            && counters.failed == n_denied
            && (n_denied + n_forbidden > 0 || counters.discovered == 0);
        match () {
            () if is_nothing_allowed && n_denied > 0 && n_forbidden == 0 => Some(ErrorCode::EgressDenied),
            () if is_nothing_allowed => Some(ErrorCode::NothingToCrawl),
            () if counters.failed > 0 => Some(ErrorCode::PagesFailed),
            () => None,
        }
    }

    /// The last line of `--json`.
    pub(crate) fn to_json(&self, place: &Place) -> serde_json::Value {
        let mut object = super::jobs::to_json(&self.record);
        object["event"] = "summary".into();
        object["interrupted"] = self.is_interrupted.into();
        object["elapsed_secs"] = self.elapsed.as_secs_f64().into();
        object[place.key] = place.text.as_str().into();
        object["exit"] = self.exit_status().into();
        object["code"] = self.code().map(ErrorCode::code).into();
        object
    }

    /// The summary that a person reads.
    pub(crate) fn to_text(&self, place: &Place) -> String {
        let JobRecord { id, state, .. } = &self.record;
        let word = if self.is_interrupted { "interrupted and drained" } else { state.code() };
        let mut text = format!("\nJob {id}: {word} after {:.1} s\n", self.elapsed.as_secs_f64());
        if let Some(code) = self.code() {
            let _ = writeln!(text, "{code}: {} (`argiope explain {code}`)", code.title());
        }
        text.push_str(&ledger(&self.record));
        let _ = writeln!(text, "\nData: {}", place.text);
        for hint in self.hints() {
            let _ = writeln!(text, "Next: {hint}");
        }
        text
    }

    fn hints(&self) -> Vec<String> {
        let JobRecord { id, counters, state, .. } = &self.record;
        let mut hints = Vec::new();
        hints.extend(self.scope_hint.clone());
        if counters.failed > 0 {
            hints.push(format!("`argiope job {id} --failed` lists what failed, `argiope retry {id}` tries it again"));
        }
        if self.is_interrupted || *state == JobState::Running {
            hints.push(format!("the same command, or `argiope resume {id}`, goes on where it stopped"));
        }
        if counters.stored + counters.unchanged > 0 {
            hints.push("`argiope search \"your question\"`".to_owned());
        } else if counters.skipped > 0 {
            hints.push("`argiope check url URL` says which rule keeps a URL out".to_owned());
        }
        hints
    }
}

/// What to say about a `scope_warning` event of the job: mostly its scope is narrower than the user thought.
pub(crate) fn scope_hint(event: &serde_json::Value, job: JobId) -> Option<String> {
    if event["event"] != "scope_warning" || event["job"] != job.to_string() {
        return None;
    }
    let advice = match event["reason"].as_str() {
        Some("out_of_scope") => "; `--scope host` or `--scope domain` goes further than the seed's directory",
        Some("filtered") => "; see --include and --exclude",
        Some("too_deep") => "; see --depth",
        _ => "",
    };
    let [reason, url] = ["reason", "url"].map(|key| event[key].as_str().unwrap_or_default());
    let (n_rejected, n_links) = (&event["rejected"], &event["links"]);
    Some(format!(
        "{n_rejected} of {n_links} links of {url} were rejected, mostly as {reason}{advice}. \
         `argiope job {job} --rejected` shows samples"
    ))
}

/// Counters and reasons as tables.
pub(crate) fn ledger(record: &JobRecord) -> String {
    let counters = &record.counters;
    let mut rows: Vec<Vec<String>> = counter_pairs(counters)
        .iter()
        .filter(|(name, count)| *count > 0 || matches!(*name, "stored" | "failed" | "discovered"))
        .map(|(name, count)| vec![(*name).to_owned(), count.to_string()])
        .collect();
    rows.sort_by_key(|row| row.first().is_some_and(|name| name == "discovered"));
    let mut text = output::table(&rows);
    text.push('\n');
    histogram(&mut text, "ended without a page", record.reasons.iter().map(|(code, count)| (code.as_str(), *count)));
    histogram(&mut text, "links not followed", record.rejected.iter().map(|(reason, count)| (reason.code(), *count)));
    text
}

fn histogram<'a>(text: &mut String, heading: &str, reasons: impl Iterator<Item = (&'a str, u64)>) {
    let mut reasons: Vec<(&str, u64)> = reasons.filter(|(_, count)| *count > 0).collect();
    if reasons.is_empty() {
        return;
    }
    reasons.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    let total: u64 = reasons.iter().map(|(_, count)| count).sum();
    let _ = writeln!(text, "\n  {heading}: {total}");
    for (code, count) in reasons.iter().take(MAX_REASONS) {
        let share = usize::try_from(count.saturating_mul(24) / total.max(1)).unwrap_or_default().max(1);
        let _ = writeln!(text, "    {count:>8}  {code:<24} {}", "▪".repeat(share));
    }
}

/// The ledger's numbers by the names that scripts rely on.
fn counter_pairs(counters: &JobCounters) -> [(&'static str, u64); 7] {
    [
        ("stored", counters.stored),
        ("unchanged", counters.unchanged),
        ("skipped", counters.skipped),
        ("failed", counters.failed),
        ("queued", counters.queued),
        ("leased", counters.leased),
        ("discovered", counters.discovered),
    ]
}

/// Adds the ledger to an object.
pub(crate) fn add_counters(object: &mut serde_json::Value, counters: &JobCounters) {
    for (name, count) in counter_pairs(counters) {
        object[name] = count.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argiope_protocol::{CanonicalUrl, JobSpec, RejectReason, Timestamp};
    use std::collections::BTreeMap;

    fn ending(counters: [u64; 4], reasons: &[(&str, u64)], is_interrupted: bool) -> Ending {
        let [stored, unchanged, skipped, failed] = counters;
        let discovered = stored + unchanged + skipped + failed;
        let spec = JobSpec {
            tenant: argiope_protocol::TenantId::default(),
            seeds: vec![CanonicalUrl::parse("http://a.example/").unwrap()],
            scope: argiope_protocol::Scope::default(),
            limits: argiope_protocol::Limits::default(),
            politeness: argiope_protocol::Politeness::default(),
            process: argiope_protocol::ProcessMode::Vectors,
            retain: argiope_protocol::job::Retain::Raw,
            sitemaps: true,
        };
        let record = JobRecord {
            id: JobId::from_uuid(uuid::Uuid::nil()),
            spec,
            state: JobState::Finished,
            created_at: Timestamp::ZERO,
            ended_at: None,
            counters: JobCounters { discovered, stored, unchanged, skipped, failed, queued: 0, leased: 0 },
            reasons: reasons.iter().map(|(code, n)| ((*code).to_owned(), *n)).collect(),
            rejected: BTreeMap::new(),
            anchors: Vec::new(),
        };
        Ending { record, is_interrupted, elapsed: Duration::from_secs(1), scope_hint: None }
    }

    fn place() -> Place {
        Place { key: "data_dir", text: "/d".to_owned() }
    }

    #[test]
    fn the_exit_status_follows_the_fates() {
        let check = |counters, reasons: &[(&str, u64)], is_interrupted, expected| {
            assert_eq!(ending(counters, reasons, is_interrupted).exit_status(), expected, "{counters:?} {reasons:?}");
        };
        check([3, 0, 1, 0], &[("redirected", 1)], false, 0);
        check([0, 3, 0, 0], &[], false, 0);
        check([3, 0, 0, 1], &[("timeout", 1)], false, 3);
        check([0, 0, 0, 1], &[("connect", 1)], false, 3);
        check([0, 0, 0, 1], &[("egress_denied", 1)], false, 5);
        check([0, 0, 2, 0], &[("robots_denied", 2)], false, 5);
        check([0, 0, 2, 0], &[("no_index", 2)], false, 0);
        check([0, 0, 0, 0], &[], false, 5);
        check([3, 0, 0, 1], &[("timeout", 1)], true, 130);
    }

    #[test]
    fn a_scope_warning_is_said_with_the_flag_that_helps() {
        let mut ending = ending([1, 0, 0, 0], &[], false);
        let job = ending.record.id;
        let mut event = serde_json::json!({
            "event": "scope_warning", "job": job, "url": "http://a.example/", "reason": RejectReason::OutOfScope,
            "rejected": 40, "links": 42,
        });
        ending.scope_hint = scope_hint(&event, job);
        let text = ending.to_text(&place());
        assert!(text.contains("40 of 42 links of http://a.example/") && text.contains("--scope host"), "{text}");
        event["job"] = "another".into();
        assert_eq!(scope_hint(&event, job), None);
    }

    #[test]
    fn the_summary_line_holds_all_fates() {
        let object = ending([1, 2, 3, 4], &[], false).to_json(&place());
        for name in ["stored", "unchanged", "skipped", "failed", "queued", "leased", "discovered"] {
            assert!(object[name].is_u64(), "{name}");
        }
        assert_eq!(object["event"], "summary");
    }
}
