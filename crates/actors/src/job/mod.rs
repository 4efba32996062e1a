//! A job while it runs: its filter, its budgets against traps, and the actor that watches its ledger.

mod actor;
mod runtime;

pub use actor::{JobActor, JobArguments};
pub use runtime::{JobRuntime, Jobs, Manners};
