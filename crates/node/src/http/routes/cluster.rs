//! Nodes, shards, hosts, and why a URL is (not) crawled.

use super::{Answer, json, ok, whole};
use crate::api::NodeView;
use crate::boot::parse_url;
use crate::cluster_view::explain as explain_url;
use crate::cluster_view::status as status_of;
use crate::errors::CliError;
use crate::http::App;
use crate::http::fields::{Named, Query};
use argiope_protocol::{CanonicalUrl, ErrorCode, Host, NodeName};
use axum::extract::State;
use axum::http::StatusCode;

/// Bytes of a URL.
const MAX_URL_BYTES: usize = 8 * 1024;

pub(super) async fn status(State(app): State<App>) -> Answer {
    ok(&status_of(app.service(), app.view()).await?)
}

pub(super) async fn nodes(State(app): State<App>) -> Answer {
    whole(app.view().nodes().await?.into_iter().map(NodeView::from).collect())
}

pub(super) async fn drain(State(app): State<App>, Named(name): Named) -> Answer {
    let unknown = || CliError::new(ErrorCode::NotFound, format!("there is no node {name:?}"));
    let node = NodeName::try_new(name.clone()).map_err(|_| unknown())?;
    if !app.view().drain(&node).await? {
        return Err(unknown().advise("`argiope admin nodes` lists the nodes").into());
    }
    json(StatusCode::ACCEPTED, &serde_json::json!({ "node": node, "state": "draining" }))
}

pub(super) async fn shards(State(app): State<App>) -> Answer {
    whole(app.view().shards().await?)
}

pub(super) async fn host(State(app): State<App>, Named(name): Named) -> Answer {
    let unknown = || {
        let shown: String = name.chars().take(200).collect();
        CliError::new(ErrorCode::NotFound, format!("nothing of the host {shown:?} was ever queued"))
            .advise("`argiope admin explain URL` says which rules a URL of it passes")
    };
    let host = host_of(&name).ok_or_else(unknown)?;
    ok(&app.view().host(&host).await?.ok_or_else(unknown)?)
}

/// A host as it is typed; an IPv6 address with or without brackets.
fn host_of(name: &str) -> Option<Host> {
    let is_bare_ipv6 = name.parse::<std::net::Ipv6Addr>().is_ok();
    let url = if is_bare_ipv6 { format!("http://[{name}]/") } else { format!("http://{name}/") };
    let url = CanonicalUrl::parse(&url).ok()?;
    (url.as_url().path() == "/").then(|| url.host())
}

pub(super) async fn explain(State(app): State<App>, Query(mut fields): Query) -> Answer {
    let url = fields.text("url", MAX_URL_BYTES);
    let job = fields.text("job", super::MAX_CURSOR_BYTES);
    let url = match url.as_deref().map(parse_url) {
        Some(Ok(url)) => Some(url),
        Some(Err(mistake)) => {
            fields.wrong("url", &mistake);
            None
        }
        None => {
            fields.wrong("url", "is missing: the URL to explain");
            None
        }
    };
    fields.finish()?;
    let url = url.ok_or_else(|| CliError::new(ErrorCode::Internal, "a mistake was not told"))?;
    let job = match job {
        Some(id) => Some(app.service().job(&id).await?),
        None => None,
    };
    ok(&explain_url(app.service(), app.view(), &url, job).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_they_are_typed() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(host_of(name).map(|host| host.as_str().to_owned()).as_deref(), expected, "{name}");
        };
        check("Docs.Example.org", Some("docs.example.org"));
        check("::1", Some("::1"));
        check("[::1]", Some("::1"));
        check("a.example/path", None);
        check("", None);
    }
}
