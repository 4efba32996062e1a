//! Why a call has no answer, or the link does not start.

use super::request::Refusal;
use crate::errors::CliError;
use argiope_protocol::{ErrorCode, NodeName};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The link cannot listen.
    #[error("the link cannot listen on {address}")]
    Listen {
        /// Where it should.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It would be open to everyone.
    #[error("the link may listen on loopback only, not on {address}, without {missing}")]
    Unsafe {
        /// Where it should listen.
        address: String,
        /// What is missing.
        missing: &'static str,
    },
    /// A file of the link cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: String,
        /// What the system or the parser says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// This node's own certificate does not do.
    #[error("the certificate does not do: {0}")]
    Certificate(String),
    /// The actors could not be started.
    #[error("the actors of the link cannot be started: {0}")]
    Actors(String),
    /// There is no session with this node, or it ended while the call was under way.
    #[error("there is no session with node {0}")]
    Down(NodeName),
    /// No answer came in time. The call may have been done.
    #[error("node {0} did not answer in time")]
    Timeout(NodeName),
    /// The window of unanswered envelopes stayed full until the deadline. The call was not sent.
    #[error("node {0} does not keep up: its window stayed full")]
    Full(NodeName),
    /// The question does not fit into an envelope.
    #[error(transparent)]
    TooLarge(argiope_protocol::wire::WireError),
    /// The peer, or its handler, said no.
    #[error("node {peer} refuses: {refusal}")]
    Refused {
        /// Who.
        peer: NodeName,
        /// Why.
        refusal: Refusal,
    },
    /// This node is stopping.
    #[error("the link is stopping")]
    Stopped,
}

impl LinkError {
    /// Whether the same call may succeed later, perhaps at another node.
    pub(crate) const fn is_retryable(&self) -> bool {
        match self {
            Self::Down(_) | Self::Timeout(_) | Self::Full(_) => true,
            Self::Refused { refusal, .. } => refusal.is_retryable(),
            Self::Listen { .. }
            | Self::Unsafe { .. }
            | Self::File { .. }
            | Self::Certificate(_)
            | Self::Actors(_)
            | Self::TooLarge(_)
            | Self::Stopped => false,
        }
    }

    /// Its code.
    pub(crate) const fn code(&self) -> ErrorCode {
        match self {
            Self::Certificate(_) => ErrorCode::LinkCertificate,
            Self::File { .. } => ErrorCode::File,
            Self::TooLarge(_) | Self::Actors(_) => ErrorCode::Internal,
            Self::Listen { .. }
            | Self::Unsafe { .. }
            | Self::Down(_)
            | Self::Timeout(_)
            | Self::Full(_)
            | Self::Refused { .. }
            | Self::Stopped => ErrorCode::LinkRefused,
        }
    }
}

impl From<LinkError> for CliError {
    fn from(error: LinkError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let out = Self::new(error.code(), error.to_string());
        match (cause, &error) {
            (_, LinkError::Unsafe { .. }) => {
                out.advise("`argiope ca init` and `argiope ca issue NAME` make certificates and a cookie")
            }
            (Some(cause), _) => out.because(cause),
            (None, _) => out,
        }
    }
}
