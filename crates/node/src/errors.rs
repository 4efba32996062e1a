//! What a user sees when something goes wrong: a code, what happened, why, and what to do next.
//!
//! The same code stands in the output, in `--json` and in `docs/errors/`. Errors are made where the cause is
//! known and printed once, in `main`.

use argiope_protocol::ErrorCode;
use std::fmt::Write as _;

/// Result of a verb.
pub(crate) type Result<T> = std::result::Result<T, CliError>;

/// An error that ends a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CliError {
    /// Stable code; decides the exit status.
    pub(crate) code: ErrorCode,
    /// What happened, without a full stop.
    pub(crate) message: String,
    /// Why, outermost first; may hold several lines of a list.
    pub(crate) causes: Vec<String>,
    /// What the user can do now.
    pub(crate) next: String,
}

impl CliError {
    /// An error with the usual advice of its code.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), next: advice(code).to_owned() }
    }

    /// Adds a cause.
    #[must_use]
    pub(crate) fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Replaces the usual advice.
    #[must_use]
    pub(crate) fn advise(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(action: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::File, format!("cannot {action} {}", path.display())).because(error)
    }

    /// As it is printed to a person.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("error[{}]: {}\n", self.code, self.message);
        for cause in &self.causes {
            let indented = cause.replace('\n', "\n         ");
            let _ = writeln!(text, "  cause: {indented}");
        }
        let _ = writeln!(text, "  next:  {}", self.next.replace('\n', "\n         "));
        let _ = writeln!(text, "  more:  docs/errors/{}.md, or `argiope explain {}`", self.code, self.code);
        text
    }

    /// As it is printed with `--json`: one object on one line.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "event": "error", "code": self.code.code(), "title": self.code.title(), "message": self.message,
            "causes": self.causes, "next": self.next, "exit": self.code.exit_code(),
        })
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for CliError {}

/// What was written by [`CliError::to_json`], or as problem+json, is read back with its code, causes and next step.
impl CliError {
    /// From the parts that both forms share.
    pub(crate) fn told(code: &str, message: String, causes: Vec<String>, next: String) -> Self {
        let code = ErrorCode::ALL.iter().find(|known| known.code() == code).copied().unwrap_or(ErrorCode::Internal);
        Self { code, message, causes, next }
    }
}

impl From<argiope_store::Error> for CliError {
    fn from(error: argiope_store::Error) -> Self {
        let mut out = Self::new(error.code(), error.to_string());
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            out.causes.push(cause.to_string());
            source = cause.source();
        }
        out
    }
}

impl From<argiope_protocol::ids::InvalidName> for CliError {
    fn from(error: argiope_protocol::ids::InvalidName) -> Self {
        Self::new(ErrorCode::UnknownJob, error.to_string())
    }
}

/// What helps most often, by code.
const fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Usage => "see `argiope --help`",
        ErrorCode::Config => "correct the listed keys; `argiope config --print` shows where each value comes from",
        ErrorCode::InvalidUrl => "give an absolute http or https URL, e.g. https://docs.example.org/",
        ErrorCode::ContactMissing => {
            "add `--contact you@example.org` (or a URL), or set `crawl.contact` in the configuration"
        }
        ErrorCode::UnknownJob => "`argiope jobs` lists the jobs of this data directory; `--data-dir` names another one",
        ErrorCode::File => "check the path, its permissions and the free space",
        ErrorCode::EgressDenied => "if these addresses are yours, allow them with `--allow-cidr CIDR`",
        ErrorCode::NothingToCrawl => "`argiope check url URL` says which rule refuses a URL",
        ErrorCode::DataDirLocked => "wait for the other process, stop it with Ctrl-C, or give another `--data-dir`",
        ErrorCode::DataDirNewer => "use the newer argiope, or give another `--data-dir`",
        ErrorCode::StoreUnavailable => {
            "run the same command again: what was stored is kept; `argiope doctor` checks the data directory"
        }
        ErrorCode::StoreCorrupt => "run `argiope verify`; damaged pages are fetched again by the same crawl command",
        ErrorCode::DiskFull => "free some space and run the same command again: nothing is lost",
        ErrorCode::StoreFull => "raise `maxmemory` of Redis; the crawl goes on by itself",
        ErrorCode::StoreReadOnly => "look at `redis-cli INFO replication` and `INFO persistence`; nothing is lost",
        ErrorCode::StoreNotDurable => "`redis-cli CONFIG SET appendfsync always`, or set `durability = \"normal\"`",
        ErrorCode::ModelMismatch => "configure the model the index was made with, or give another `--data-dir`",
        ErrorCode::EmbedderUnavailable => "check the [embedder] section with `argiope config --print`",
        ErrorCode::PagesFailed => "`argiope job ID --failed` lists them, `argiope retry ID` tries them again",
        ErrorCode::Interrupted => "run the same command again: it goes on where it stopped",
        ErrorCode::LinkRefused => "see the log of the other node: it names the same code",
        ErrorCode::LinkCertificate => {
            "make it anew with `argiope ca issue NAME`, signed by the cluster's own authority"
        }
        ErrorCode::LinkCookie => "give all nodes the same file as `cluster.cookie`",
        ErrorCode::LinkCluster => "give all nodes of a cluster the same `cluster.id`",
        ErrorCode::LinkVersion => "bring both nodes to neighbouring versions of argiope",
        ErrorCode::NameTaken => "give each node a name of its own: `argiope node --name NAME`",
        ErrorCode::SharedStores => {
            "start `argiope node` with this configuration, and give its address: `argiope crawl URL --endpoint http://HOST:PORT`"
        }
        ErrorCode::LinkClock => "let both machines take their time from NTP",
        ErrorCode::JobEnded => {
            "`argiope crawl` with the same seeds crawls it again; `argiope retry ID` tries failed pages again"
        }
        ErrorCode::EndpointUnreachable => {
            "does the node run, and is this its http.listen? `--endpoint` or `client.endpoint` names another one"
        }
        ErrorCode::KeyRefused => "name the key with `client.key` (ARGIOPE_CLIENT_KEY=env:NAME or file:PATH)",
        ErrorCode::RequestInvalid => "correct the listed mistakes; docs/API.md describes every request",
        ErrorCode::NotFound => "docs/API.md lists all paths",
        ErrorCode::IdempotencyConflict => "use a new Idempotency-Key for another request",
        ErrorCode::NodeBusy => "send the request again in a few seconds",
        ErrorCode::Internal => "please report it with the lines above",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_that_names_its_exit_status() {
        for code in ErrorCode::ALL {
            let page = crate::cli::explain::page(*code);
            assert!(page.starts_with(&format!("# {code}: {}", code.title())), "{code}: title line");
            for part in ["## What happened", "## Likely causes", "## What to do"] {
                assert!(page.contains(part), "{code} lacks {part}");
            }
            assert!(page.contains(&format!("Exit status: {}", code.exit_code())), "{code} lacks its exit status");
        }
    }

    #[test]
    fn an_error_prints_code_cause_and_next_step() {
        let text = CliError::new(ErrorCode::DataDirLocked, "in use").because("pid 7").to_text();
        assert!(text.starts_with("error[AR0201]: in use\n  cause: pid 7\n  next:  "), "{text}");
    }
}
