//! One server: a connection that is made when it is needed, and made again when it broke.

use super::call::{Call, What};
use super::fault;
use super::library::Library;
use super::router::Options;
use crate::{Error, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

/// Calls in flight on one connection; more wait. Bounds the memory of both sides.
const MAX_IN_FLIGHT: usize = 256;
/// Calls that wait to be written.
const PIPELINE_BUFFER: usize = 64;

/// A connection to one run of a server.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    run: Arc<str>,
    library: Library,
    number: u64,
}

/// A server.
pub(super) struct Link {
    pub(super) address: String,
    client: Client,
    connect_timeout: Duration,
    live: Mutex<Option<Live>>,
    /// The run that was met last; kept over lost connections.
    last_run: Mutex<Option<Arc<str>>>,
    n_connections: AtomicU64,
    changes: watch::Sender<u64>,
}

/// Why a call did not answer.
pub(super) enum Failure {
    /// The server's own words: the call may have to go elsewhere.
    Server(RedisError),
    /// Anything else.
    Other(Error),
}

impl Link {
    pub(super) fn new(address: String, options: &Options, changes: watch::Sender<u64>) -> Result<Self> {
        let info = options.connection_info(&address)?;
        let client = Client::open(info).map_err(|error| fault::error("read server address", &error))?;
        Ok(Self {
            address,
            client,
            connect_timeout: options.connect_timeout,
            live: Mutex::new(None),
            last_run: Mutex::new(None),
            n_connections: AtomicU64::new(0),
            changes,
        })
    }

    /// The connection, a new one when there is none. Those who wait share one attempt after the other.
    async fn live(&self) -> Result<Live> {
        let mut slot = self.live.lock().await;
        if let Some(live) = &*slot {
            return Ok(live.clone());
        }
        let connected = timeout(self.connect_timeout, self.connect()).await;
        let live = connected.unwrap_or_else(|_| Err(fault::timeout("connect to Redis", self.connect_timeout)))?;
        *slot = Some(live.clone());
        Ok(live)
    }

    async fn connect(&self) -> Result<Live> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_concurrency_limit(MAX_IN_FLIGHT);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut connection = connected.map_err(|error| fault::error("connect to Redis", &error))?;
        let info = redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await;
        let info = info.map_err(|error| fault::error("read INFO of Redis", &error))?;
        let run = info_field(&info, "run_id").unwrap_or_default();
        let library = Library::load(&mut connection).await?;
        self.note_run(run).await;
        let number = self.n_connections.fetch_add(1, Ordering::Relaxed);
        Ok(Live { connection, run: run.into(), library, number })
    }

    /// Tells those who watch when this is another run than the last.
    async fn note_run(&self, run: &str) {
        let mut last = self.last_run.lock().await;
        if last.as_deref().is_some_and(|last| last != run) {
            tracing::warn!(address = %self.address, "redis restarted or failed over, claims made before are void");
            self.changes.send_modify(|n_changes| *n_changes += 1);
        }
        *last = Some(run.into());
    }

    /// Forgets a connection, unless it was replaced already.
    async fn forget(&self, number: u64) {
        let mut slot = self.live.lock().await;
        if slot.as_ref().is_some_and(|live| live.number == number) {
            *slot = None;
        }
    }

    /// Asks the server. Loads the library where it is missing.
    pub(super) async fn ask(
        &self,
        call: &Call,
        is_asking: bool,
        wait: Duration,
    ) -> std::result::Result<Value, Failure> {
        let mut is_loaded_again = false;
        loop {
            let live = self.live().await.map_err(Failure::Other)?;
            let answer = timeout(wait, send(live.clone(), call, is_asking)).await;
            let Ok(answer) = answer else {
                self.forget(live.number).await;
                return Err(Failure::Other(fault::timeout("wait for Redis", wait)));
            };
            match answer {
                Ok(value) => return Ok(value),
                Err(error) if fault::is_unknown_library(&error) && !is_loaded_again => {
                    is_loaded_again = true;
                    self.forget(live.number).await;
                }
                Err(error) => {
                    if fault::is_broken(&error) {
                        self.forget(live.number).await;
                    }
                    return Err(Failure::Server(error));
                }
            }
        }
    }

    /// Runs a command that belongs to the server and not to a key.
    pub(super) async fn command(&self, command: &Cmd, wait: Duration) -> Result<Value> {
        let mut live = self.live().await?;
        let answer = timeout(wait, live.connection.send_packed_command(command)).await;
        let failed = match answer {
            Ok(Ok(value)) => return value.extract_error().map_err(|error| fault::error("ask Redis", &error)),
            Ok(Err(error)) if !fault::is_broken(&error) => return Err(fault::error("ask Redis", &error)),
            Ok(Err(error)) => fault::error("ask Redis", &error),
            Err(_) => fault::timeout("wait for Redis", wait),
        };
        self.forget(live.number).await;
        Err(failed)
    }
}

async fn send(mut live: Live, call: &Call, is_asking: bool) -> std::result::Result<Value, RedisError> {
    let mut args = std::borrow::Cow::Borrowed(&call.args);
    if let Some(run) = call.run_at.and_then(|at| args.to_mut().get_mut(at)) {
        *run = live.run.as_bytes().to_vec();
    }
    let command = match call.what {
        What::Function(function) => live.library.command(function, &call.base, &args),
        What::Command(command) => {
            let mut built = redis::cmd(command);
            built.arg(args.as_slice());
            built
        }
    };
    if !is_asking {
        return live.connection.send_packed_command(&command).await?.extract_error();
    }
    let mut pipeline = redis::pipe();
    pipeline.add_command(redis::cmd("ASKING")).add_command(command);
    let mut values = live.connection.send_packed_commands(&pipeline, 1, 1).await?;
    values.pop().unwrap_or_default().extract_error()
}

/// A field of an answer to `INFO`.
pub(super) fn info_field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
