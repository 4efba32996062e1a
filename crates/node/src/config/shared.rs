//! What nodes share and how they are reached: frontier, pages, the link, the HTTP interface.

use super::raw::Mistake;
use super::read::Read;
use super::secret::Secret;
use super::sections::{Client, Cluster, Frontier, FrontierBackend, Http, LinkTls, PageObjects, Pages, PagesBackend};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn frontier(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Frontier {
    Frontier {
        backend: frontier_backend(read, mistakes),
        claim_ttl: read.seconds("frontier.claim_ttl_secs"),
        visibility: Duration::from_secs(read.uint("frontier.visibility_secs")),
        start_window: Duration::from_millis(read.uint("frontier.start_window_ms")),
    }
}

fn frontier_backend(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> FrontierBackend {
    if read.text("frontier.backend") != "redis" {
        return FrontierBackend::Embedded;
    }
    let urls: Vec<url::Url> = read.list("frontier.redis_urls").iter().filter_map(|url| url.parse().ok()).collect();
    if urls.is_empty() {
        let problem = "needed when frontier.backend is \"redis\": the address of the server";
        mistakes.push(read.contradiction("frontier.redis_urls", problem));
    }
    for (key, backend) in [("pages.backend", "objects"), ("vectors.backend", "qdrant")] {
        if read.text(key) != backend {
            let problem = format!(
                "must be \"{backend}\" when frontier.backend is \"redis\": nodes that share a frontier share it all"
            );
            mistakes.push(read.contradiction(key, problem));
        }
    }
    FrontierBackend::Redis {
        urls,
        user: read.text_opt("frontier.redis_user"),
        password: read.secret("frontier.redis_password"),
        prefix: read.text("frontier.redis_prefix"),
        is_strict: read.text("frontier.durability") == "strict",
    }
}

pub(super) fn pages(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Pages {
    Pages {
        backend: pages_backend(read, mistakes),
        segment_bytes: read.uint("pages.segment_bytes"),
        min_free_bytes: read.uint("pages.min_free_bytes"),
    }
}

fn pages_backend(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> PagesBackend {
    if read.text("pages.backend") != "objects" {
        return PagesBackend::Embedded;
    }
    let url = read.text_opt("pages.url").and_then(|url| url.parse::<url::Url>().ok());
    let Some(url) = url.filter(|url| matches!(url.scheme(), "file" | "s3")) else {
        let problem = "needed when pages.backend is \"objects\": file:///DIR or s3://BUCKET/PREFIX";
        mistakes.push(read.contradiction("pages.url", problem));
        return PagesBackend::Embedded;
    };
    PagesBackend::Objects(Box::new(PageObjects {
        url,
        endpoint: read.text_opt("pages.endpoint").and_then(|url| url.parse().ok()),
        region: read.text("pages.region"),
        access_key: read.secret("pages.access_key"),
        secret_key: read.secret("pages.secret_key"),
    }))
}

pub(super) fn cluster(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Cluster {
    let files = ["ca_file", "cert_file", "key_file"].map(|name| read.text_opt(&format!("cluster.{name}")));
    let tls = match files {
        [Some(ca_file), Some(cert_file), Some(key_file)] => {
            Some(LinkTls { ca_file: ca_file.into(), cert_file: cert_file.into(), key_file: key_file.into() })
        }
        [None, None, None] => None,
        _ => {
            let problem = "ca_file, cert_file and key_file go together: set all or none";
            mistakes.push(read.contradiction("cluster.ca_file", problem));
            None
        }
    };
    let listen = read.text("cluster.listen");
    let cookie = read.secret("cluster.cookie");
    if !is_loopback(&listen) && (tls.is_none() || cookie.is_none()) {
        let problem = "anything but loopback needs cluster.ca_file, cert_file, key_file and cluster.cookie";
        mistakes.push(read.contradiction("cluster.listen", problem));
    }
    Cluster {
        id: read.text("cluster.id"),
        listen,
        advertise: read.text_opt("cluster.advertise"),
        seeds: read.list("cluster.seeds"),
        cookie,
        tls,
    }
}

pub(super) fn http(read: &Read<'_>, mistakes: &mut Vec<Mistake>) -> Http {
    let tls = match (read.text_opt("http.tls_cert_file"), read.text_opt("http.tls_key_file")) {
        (Some(cert_file), Some(key_file)) => Some((PathBuf::from(cert_file), PathBuf::from(key_file))),
        (None, None) => None,
        _ => {
            let problem = "tls_cert_file and tls_key_file go together: set both or none";
            mistakes.push(read.contradiction("http.tls_cert_file", problem));
            None
        }
    };
    let keys: Vec<Secret> = read.list("http.keys").iter().filter_map(|text| Secret::parse(text)).collect();
    let listen = read.text_opt("http.listen");
    if listen.as_deref().is_some_and(|listen| !is_loopback(listen)) && (tls.is_none() || keys.is_empty()) {
        let problem = "anything but loopback needs http.tls_cert_file, http.tls_key_file and http.keys";
        mistakes.push(read.contradiction("http.listen", problem));
    }
    Http { listen, keys, tls, metrics_listen: read.text_opt("http.metrics_listen") }
}

pub(super) fn client(read: &Read<'_>) -> Option<Client> {
    Some(Client {
        endpoint: read.text_opt("client.endpoint")?.parse().ok()?,
        key: read.secret("client.key"),
        ca_file: read.text_opt("client.ca_file").map(PathBuf::from),
    })
}

/// Whether only this machine reaches `HOST:PORT`.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
