//! `argiope admin`: what an operator asks of a node, and tells it. A client of the HTTP interface and nothing else.

use super::{Context, jobs, output};
use crate::api::{Explanation, HostView, NodeView, ShardView};
use crate::client::Endpoint;
use crate::errors::Result;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `admin`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the nodes: state, roles, load.
    Nodes,
    /// Show who owns the shards, and what waits in them.
    Shards,
    /// Node, shards and jobs at a glance.
    Status,
    /// Have a node hand over its shards, finish what is under way, and end.
    Drain {
        /// The node's name.
        node: String,
    },
    /// Say why a URL is (not) crawled: rules, owner, its host's gate, and where it stands in a job.
    Explain {
        /// The URL.
        url: String,
        /// The job it is about: its id, the id's first characters, or `last`.
        #[arg(long, value_name = "ID")]
        job: Option<String>,
    },
    /// Show a host: owner, queue, gate, robots.txt.
    Host {
        /// The host's name.
        host: String,
    },
}

/// Asks and prints.
pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<u8> {
    let endpoint = Endpoint::of_operator(&context.config)?;
    match arguments.what {
        What::Nodes => nodes(&endpoint.nodes().await?, context),
        What::Shards => shards(&endpoint.shards().await?, context),
        What::Status => {
            let status = endpoint.status().await?;
            let jobs: Vec<String> = status.jobs.iter().map(|(state, n)| format!("{n} {state}")).collect();
            pairs(
                context,
                &[
                    ("node", format!("{} ({})", status.node, status.state.code())),
                    ("version", status.version.clone()),
                    ("since", jobs::time(status.started_at)),
                    ("nodes", status.nodes.to_string()),
                    ("shards owned", format!("{} of 256", status.owned_shards)),
                    ("queued", status.queued.to_string()),
                    ("leased", status.leased.to_string()),
                    ("jobs", if jobs.is_empty() { "none".to_owned() } else { jobs.join(", ") }),
                ],
            );
            object(context, "status", &status);
        }
        What::Drain { node } => {
            let answer = endpoint.drain(&node).await?;
            context.output.text(format!("node {node} drains and ends"));
            object(context, "drain", &answer);
        }
        What::Host { host } => {
            let view = endpoint.host(&host).await?;
            pairs(context, &host_pairs(&view));
            object(context, "host", &view);
        }
        What::Explain { url, job } => {
            let explanation = endpoint.explain(&url, job.as_deref()).await?;
            explain(&explanation, context);
            return Ok(if explanation.allowed { 0 } else { 5 });
        }
    }
    Ok(0)
}

fn object(context: &Context, event: &str, value: &impl Serialize) {
    let mut object = serde_json::to_value(value).unwrap_or_default();
    object["event"] = event.into();
    context.output.object(&object);
}

fn pairs(context: &Context, pairs: &[(&str, String)]) {
    let rows: Vec<Vec<String>> = pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect();
    context.output.text(output::table(&rows));
}

fn nodes(nodes: &[NodeView], context: &Context) {
    let head = ["NODE", "STATE", "ROLES", "VERSION", "IN FLIGHT", "SINCE", "HTTP", "LINK"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for node in nodes {
        let roles: Vec<&str> = node.roles.iter().map(|role| role.code()).collect();
        rows.push(vec![
            node.name.to_string(),
            node.state.code().to_owned(),
            roles.join(","),
            node.version.clone(),
            format!("{}/{}", node.in_flight, node.capacity),
            jobs::time(node.started_at),
            or_dash(&node.http),
            or_dash(&node.link),
        ]);
        object(context, "node", node);
    }
    context.output.text(output::table(&rows));
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// All shards as objects; for a person the owners, and the shards in which something waits.
fn shards(shards: &[ShardView], context: &Context) {
    let name = |shard: &ShardView| shard.owner.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
    let mut owners: BTreeMap<String, u64> = BTreeMap::new();
    let mut rows = vec![["SHARD", "OWNER", "EPOCH", "HOSTS", "QUEUED", "LEASED"].map(str::to_owned).to_vec()];
    for shard in shards {
        *owners.entry(name(shard)).or_default() += 1;
        if shard.hosts > 0 {
            let epoch = shard.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
            let numbers = [shard.hosts, shard.queued, shard.leased].map(|number| number.to_string());
            rows.push([vec![shard.shard.to_string(), name(shard), epoch], numbers.to_vec()].concat());
        }
        object(context, "shard", shard);
    }
    owners.iter().for_each(|(owner, n)| context.output.text(format!("  {owner} owns {n} of {} shards", shards.len())));
    if rows.len() > 1 {
        context.output.text(output::table(&rows));
    } else {
        context.output.text("  nothing waits in any of them");
    }
}

fn host_pairs(view: &HostView) -> Vec<(&'static str, String)> {
    let gate = if view.wait_secs > 0.0 { format!("closed for {:.1} s", view.wait_secs) } else { "open".to_owned() };
    let mut pairs = vec![
        ("host", view.host.to_string()),
        ("shard", view.shard.to_string()),
        ("owner", view.owner.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string)),
        ("gate", gate),
        ("queued", view.queued.to_string()),
        ("leased", view.leased.to_string()),
    ];
    pairs.extend(view.next_url.iter().map(|url| ("next", url.clone())));
    pairs.extend(view.robots.iter().map(|(origin, said)| ("robots.txt", format!("{origin}: {said}"))));
    pairs
}

fn explain(explanation: &Explanation, context: &Context) {
    context.output.text(format!("  {}", explanation.url));
    let rows = explanation.rules.iter().map(|rule| {
        let word = match rule.passes {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        vec![word.to_owned(), rule.rule.clone(), rule.detail.clone()]
    });
    context.output.text(output::table(&rows.collect::<Vec<_>>()));
    if let Some(job) = &explanation.job {
        let standing = match &job.url {
            None => "never took it".to_owned(),
            Some(url) => {
                let reason = url.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("has it as {}{reason}, attempts: {}", url.state, url.attempts)
            }
        };
        context.output.text(format!("  job {} ({}) {standing}", job.id, job.state.code()));
    }
    match &explanation.host {
        Some(host) => pairs(context, &host_pairs(host)),
        None => context.output.text("  nothing of its host was ever queued"),
    }
    let verdict = if explanation.allowed { "No rule is against it." } else { "It is not crawled." };
    context.output.text(verdict);
    object(context, "explanation", explanation);
}
