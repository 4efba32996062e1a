//! What makes several processes one cluster.

pub(crate) mod authority;
pub(crate) mod link;
