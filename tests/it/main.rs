//! The real `argiope` process against real HTTP on loopback: what the promises of the design say, seen from outside
//! (exit status, standard output, data directory, the origin's access log).
//!
//! Each test has its own directory and its own site on a port that the system chooses, and a deadline for each
//! process; a process that a test forgets is killed. Nothing here sends a packet to anything but loopback.

#[path = "../chaos/mod.rs"]
mod chaos;
mod content;
mod control;
mod crawl;
mod disk;
mod egress;
mod endpoint;
mod fault;
mod hostile;
mod http;
mod input;
mod metrics;
mod named;
mod namespace;
mod node;
mod origin;
mod place;
mod polite;
mod proxy;
mod qdrant;
mod recrawl;
mod robots;
mod sabotage;
mod shared_pages;
mod stop;
