//! `argiope explain CODE`: the error's page of `docs/errors/`, which is part of the binary.

use super::Output;
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use clap::Args;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A code such as AR0101; without one, all codes are listed.
    code: Option<String>,
}

/// Prints a page, or the list of codes.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<u8> {
    let Some(text) = &arguments.code else {
        for code in ErrorCode::ALL {
            output.text(format!("{code}  exit {:>3}  {}", code.exit_code(), code.title()));
            output.object(&serde_json::json!({
                "event": "error_code", "code": code.code(), "title": code.title(), "exit": code.exit_code(),
            }));
        }
        return Ok(0);
    };
    let code = ErrorCode::ALL.iter().copied().find(|code| code.code().eq_ignore_ascii_case(text)).ok_or_else(|| {
        CliError::new(ErrorCode::Usage, format!("there is no error code {text:?}"))
            .advise("`argiope explain` lists all codes")
    })?;
    output.text(page(code).trim_end());
    output.object(&serde_json::json!({ "event": "error_code", "code": code.code(), "page": page(code) }));
    Ok(0)
}

macro_rules! pages {
    ($($variant:ident = $code:literal,)+) => {
        /// The page of a code.
        pub(crate) const fn page(code: ErrorCode) -> &'static str {
            match code {
                $(ErrorCode::$variant => include_str!(concat!("../../../../docs/errors/", $code, ".md")),)+
            }
        }
    };
}

pages! {
    Usage = "AR0001",
    Config = "AR0002",
    InvalidUrl = "AR0003",
    ContactMissing = "AR0004",
    UnknownJob = "AR0005",
    File = "AR0006",
    JobEnded = "AR0007",
    EgressDenied = "AR0101",
    NothingToCrawl = "AR0102",
    DataDirLocked = "AR0201",
    DataDirNewer = "AR0202",
    StoreUnavailable = "AR0203",
    StoreCorrupt = "AR0204",
    DiskFull = "AR0205",
    StoreFull = "AR0206",
    StoreReadOnly = "AR0207",
    StoreNotDurable = "AR0208",
    ModelMismatch = "AR0301",
    EmbedderUnavailable = "AR0302",
    PagesFailed = "AR0401",
    Interrupted = "AR0402",
    LinkRefused = "AR0501",
    LinkCertificate = "AR0502",
    LinkCookie = "AR0503",
    LinkCluster = "AR0504",
    LinkVersion = "AR0505",
    LinkClock = "AR0506",
    NameTaken = "AR0507",
    SharedStores = "AR0508",
    EndpointUnreachable = "AR0601",
    KeyRefused = "AR0602",
    RequestInvalid = "AR0603",
    NotFound = "AR0604",
    IdempotencyConflict = "AR0605",
    NodeBusy = "AR0606",
    Internal = "AR0901",
}
