//! How a fetch fails.

use crate::policy::Denied;
use argiope_protocol::FailReason;
use std::net::IpAddr;
use std::time::Duration;

/// A fetch that gave no answer. An answer with a status of 4xx or 5xx is no error here.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The policy denies the URL, or every address of its host.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The name has no address, or the look-up failed.
    #[error("look up {host}: {cause}")]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        cause: String,
    },
    /// No connection to any of the addresses.
    #[error("connect to {address}: {cause}")]
    Connect {
        /// The last address tried.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// No connection in time.
    #[error("connect: no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// TLS handshake or certificate.
    #[error("TLS handshake with {host}: {cause}")]
    Tls {
        /// The name the certificate was to show.
        host: String,
        /// What the TLS library said.
        cause: String,
    },
    /// Not complete within the total timeout.
    #[error("the answer was not complete within {0:?}")]
    Timeout(Duration),
    /// Slower than the minimum rate.
    #[error("the body came slower than {0} bytes per second")]
    TooSlow(u64),
    /// Not HTTP, or broken in the middle.
    #[error("HTTP exchange: {0}")]
    Protocol(String),
    /// The head of the answer exceeds its caps. Over HTTP/2 such a head is a [`FetchError::Protocol`]: the library
    /// does not tell it from a malformed one.
    #[error("the answer's header fields exceed their caps: {0}")]
    HeadersTooLarge(String),
    /// More bytes than the request allows.
    #[error("the body exceeds {0} bytes")]
    BodyTooLarge(u64),
    /// A few bytes that decode to very many.
    #[error("the body decodes to more than {0} times its size")]
    DecompressionBomb(u64),
    /// The body does not decode.
    #[error("decode the body: {0}")]
    ContentEncoding(String),
    /// All connections to the addresses are in use. Nothing was sent: give the lease back.
    #[error("all allowed connections to {0} are in use")]
    PerIpBusy(IpAddr),
    /// The start window had passed and no new start was given. Nothing was sent: give the lease back.
    #[error("the start window had passed")]
    WindowMissed,
    /// The URL cannot be written as a request, or another defect of ours.
    #[error("make the request: {0}")]
    Internal(String),
}

impl FetchError {
    /// The reason code of an attempt that ends with this error.
    #[must_use]
    pub const fn reason(&self) -> FailReason {
        match self {
            Self::Denied(_) => FailReason::EgressDenied,
            Self::Dns { .. } => FailReason::Dns,
            Self::Connect { .. } | Self::PerIpBusy(_) => FailReason::Connect,
            Self::ConnectTimeout(_) => FailReason::ConnectTimeout,
            Self::Tls { .. } => FailReason::Tls,
            Self::Timeout(_) => FailReason::Timeout,
            Self::TooSlow(_) => FailReason::TooSlow,
            Self::Protocol(_) => FailReason::Protocol,
            Self::HeadersTooLarge(_) => FailReason::HeadersTooLarge,
            Self::BodyTooLarge(_) => FailReason::BodyTooLarge,
            Self::DecompressionBomb(_) => FailReason::DecompressionBomb,
            Self::ContentEncoding(_) => FailReason::ContentEncoding,
            Self::WindowMissed => FailReason::LeaseLost,
            Self::Internal(_) => FailReason::Internal,
        }
    }

    /// Whether nothing was sent for reasons that are no fault of the URL: its lease is given back, not settled.
    #[must_use]
    pub const fn gives_lease_back(&self) -> bool {
        matches!(self, Self::PerIpBusy(_) | Self::WindowMissed)
    }

    /// When asking again makes sense, if the error itself says so.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::PerIpBusy(_) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
