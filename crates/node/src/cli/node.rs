//! `argiope node`: a node that runs until it is stopped.

use super::run::Stop;
use super::{Context, output};
use crate::boot::{Node, Wish};
use crate::config::{Layer, Source, Typed};
use crate::errors::{CliError, Result};
use argiope_protocol::ErrorCode;
use clap::Args;
use clap::builder::PossibleValuesParser;

/// Arguments of `node`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// This node's name in claims and logs [default: local].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What this node does in a cluster [default: everything].
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(crate::config::schema::ROLES))]
    roles: Vec<String>,
    /// Where a control node answers the HTTP interface; port 0 is any free one [default: 127.0.0.1:7700].
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Where /healthz, /readyz and /metrics are answered; port 0 is any free one [default: 127.0.0.1:7720].
    #[arg(long, value_name = "HOST:PORT")]
    metrics_listen: Option<String>,
}

impl Arguments {
    /// The flags as a layer of the configuration.
    pub(crate) fn add_to(&self, layer: &mut Layer) {
        let text = |value: &Option<String>| value.clone().map(Typed::Text);
        let roles = self.roles.iter().cloned().map(Typed::Text).collect::<Vec<_>>();
        let given = [
            ("node.name", "--name", text(&self.name)),
            ("node.roles", "--roles", (!roles.is_empty()).then_some(Typed::List(roles))),
            ("http.listen", "--listen", text(&self.listen)),
            ("http.metrics_listen", "--metrics-listen", text(&self.metrics_listen)),
        ];
        for (key, flag, typed) in given {
            if let Some(typed) = typed {
                layer.insert(key, (typed, Source::Flag(flag)));
            }
        }
    }
}

/// Runs the node to its end.
pub(crate) async fn run(context: &Context) -> Result<u8> {
    let config = &context.config;
    // Before anything is started, so that no signal is missed.
    let mut stop = Stop::new()?;
    let node = tokio::select! {
        node = Box::pin(Node::start(config)) => node?,
        () = stop.requested() => return Ok(0),
    };
    let wish = node.wish();
    started(&node, context);
    let wish = tokio::select! {
        () = stop.requested() => None,
        wish = wish => Some(wish),
    };
    let seconds = config.drain.as_secs();
    output::note(format!("stopping: work in flight may take up to {seconds} s; press Ctrl-C again to abort"));
    let n_left = tokio::select! {
        n_left = node.stop(config.drain) => n_left,
        () = stop.requested() => {
            output::note("aborted: what was in flight is fetched again when the node starts");
            return Ok(130);
        }
    };
    match n_left {
        0 => output::note("drained: nothing is in flight; jobs go on when the node starts again"),
        n_left => output::note(format!("{n_left} pages did not end in time; they are fetched again")),
    }
    context.output.object(&serde_json::json!({ "event": "node_stopped", "left": n_left }));
    match wish {
        Some(Wish::GaveUp(stage)) => Err(CliError::new(ErrorCode::Internal, format!("{stage} failed again and again"))
            .advise("start the node again: jobs go on where they stopped; the log says what failed")),
        Some(Wish::Drain) | None => Ok(0),
    }
}

fn started(node: &Node, context: &Context) {
    let scheme = if context.config.http.tls.is_some() { "https" } else { "http" };
    let control = node.control_address().map(|address| format!("{scheme}://{address}"));
    let monitor = node.monitor_address().map(|address| format!("http://{address}"));
    let name = &context.config.name;
    if !context.output.is_json {
        let place = |address: &Option<String>| address.clone().unwrap_or_else(|| "nowhere".to_owned());
        output::note(format!(
            "node {name} runs: HTTP interface {}, metrics {}, data in {}",
            place(&control),
            place(&monitor),
            context.config.data_dir.display()
        ));
    }
    context.output.object(&serde_json::json!({
        "event": "node_started", "node": name, "http": control, "metrics": monitor, "link": node.link_address(),
        "pid": std::process::id(), "data_dir": context.config.data_dir,
    }));
}
