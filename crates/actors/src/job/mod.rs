//! A job while it runs: its filter, its budgets against traps, the actor that watches its ledger, and the one that learns
//! of jobs from other nodes.

mod actor;
mod keeper;
mod runtime;
mod watch;

pub use keeper::{JobKeeper, KeeperArguments};
pub use runtime::{JobRuntime, Jobs, Manners};
pub use watch::{JobContext, JobError};
