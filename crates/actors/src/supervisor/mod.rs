//! Starts the stages, shards and jobs, and starts them again when they fail or are stuck.

mod actor;

pub use actor::{Child, Supervisor, SupervisorArguments, SupervisorMessage, Watched};
