//! What every stage needs: time, credit, CPU threads, routes to other stages, and the restart policy.

pub mod clock;
pub mod cpu_pool;
pub mod credit;
pub mod restart;
pub mod route;
pub mod stage;
pub mod store_wait;
pub mod tasks;

pub use clock::now;
pub use cpu_pool::CpuPool;
pub use credit::{Edge, Permit};
pub use route::{Route, RouteClosed};
pub use store_wait::StoreWait;
