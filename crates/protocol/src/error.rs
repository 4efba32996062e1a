//! The closed set of errors that a user or operator meets. Each has one page in `docs/errors/`.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$meta:meta])* $variant:ident = $code:literal, exit $exit:literal, $title:literal;)+) => {
        /// A stable error code: the same in CLI output, logs and later problem+json.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$meta])* #[doc = concat!(" (`", $code, "`)")] $variant,)+ }

        impl ErrorCode {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code, e.g. `AR0001`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// One line that says what it is.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// The exit status of a command that ends with it.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$variant => $exit,)+ }
            }
        }
    };
}

error_codes! {
    /// The command line is wrong.
    Usage = "AR0001", exit 2, "the command line is not understood";
    /// The configuration is wrong; all mistakes are listed.
    Config = "AR0002", exit 2, "the configuration has mistakes";
    /// A seed or URL argument cannot be crawled.
    InvalidUrl = "AR0003", exit 2, "a URL cannot be crawled";
    /// A crawl of other people's hosts needs a contact.
    ContactMissing = "AR0004", exit 2, "a crawl of other people's hosts needs a contact";
    /// No such job.
    UnknownJob = "AR0005", exit 2, "there is no such job";
    /// A file given by the user cannot be read or written.
    File = "AR0006", exit 2, "a file cannot be read or written";
    /// A job in a final state cannot go on.
    JobEnded = "AR0007", exit 2, "the job has ended";
    /// The egress policy denies an address.
    EgressDenied = "AR0101", exit 5, "the egress policy denies the address";
    /// Every seed was refused.
    NothingToCrawl = "AR0102", exit 5, "nothing is allowed to be crawled";
    /// Another process uses the data directory.
    DataDirLocked = "AR0201", exit 4, "another process uses the data directory";
    /// The data directory was written by a newer version.
    DataDirNewer = "AR0202", exit 4, "the data directory was written by a newer version";
    /// A store cannot be opened or written.
    StoreUnavailable = "AR0203", exit 4, "a store cannot be opened or written";
    /// A stored record does not match its checksum.
    StoreCorrupt = "AR0204", exit 4, "a stored record does not match its checksum";
    /// The disk is nearly full.
    DiskFull = "AR0205", exit 4, "the disk is nearly full";
    /// The store's memory limit is reached.
    StoreFull = "AR0206", exit 4, "the store's memory limit is reached";
    /// The store takes no writes.
    StoreReadOnly = "AR0207", exit 4, "the store takes no writes";
    /// The store is not set to keep what was asked for.
    StoreNotDurable = "AR0208", exit 4, "the store is not set to keep what it acknowledges";
    /// The index was made with another embedding model.
    ModelMismatch = "AR0301", exit 4, "the index was made with another embedding model";
    /// The embedding model cannot be loaded or reached.
    EmbedderUnavailable = "AR0302", exit 4, "the embedding model cannot be loaded or reached";
    /// Some pages failed.
    PagesFailed = "AR0401", exit 3, "some pages failed";
    /// Interrupted; work in flight was finished, the rest waits.
    Interrupted = "AR0402", exit 130, "interrupted and drained";
    /// A node refuses the link, or it cannot be opened.
    LinkRefused = "AR0501", exit 4, "the link to another node is refused or cannot be opened";
    /// A certificate of the link is not accepted.
    LinkCertificate = "AR0502", exit 2, "a certificate of the link is not accepted";
    /// The nodes' cookies differ.
    LinkCookie = "AR0503", exit 2, "the cookies of two nodes differ";
    /// A node belongs to another cluster.
    LinkCluster = "AR0504", exit 2, "a node belongs to another cluster";
    /// Two nodes have no version of the wire in common.
    LinkVersion = "AR0505", exit 4, "two nodes have no version of the wire in common";
    /// Two nodes' clocks differ too much.
    LinkClock = "AR0506", exit 4, "the clocks of two nodes differ too much";
    /// Another node of the cluster has this name.
    NameTaken = "AR0507", exit 4, "another node of the cluster has this name";
    /// A crawl of its own is asked of stores that nodes share.
    SharedStores = "AR0508", exit 2, "stores that nodes share are crawled by nodes only";
    /// The HTTP interface that a command talks to does not answer.
    EndpointUnreachable = "AR0601", exit 4, "the endpoint does not answer";
    /// The HTTP interface wants a bearer key, or another one.
    KeyRefused = "AR0602", exit 2, "the key is refused";
    /// A request over HTTP is not understood; all mistakes are listed.
    RequestInvalid = "AR0603", exit 2, "the request has mistakes";
    /// Nothing is at this path, or what it names is not known.
    NotFound = "AR0604", exit 2, "there is no such thing";
    /// An idempotency key came again with another request.
    IdempotencyConflict = "AR0605", exit 2, "the idempotency key was used for another request";
    /// The node does not take it now: it stops, or has too much to do.
    NodeBusy = "AR0606", exit 4, "the node does not take the request now";
    /// A defect of ours.
    Internal = "AR0901", exit 1, "a defect in argiope";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
