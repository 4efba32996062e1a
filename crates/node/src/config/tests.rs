//! Configuration as a table: what is typed against what comes out.

use super::schema::{KEYS, SECTIONS};
use super::{Config, Inputs, Mistake, Platform, Vectors, build};
use crate::config::{Source, Typed};
use std::time::Duration;

const REFERENCE: &str = include_str!("../../../../cluster.toml");

fn inputs(file: &str, environment: &[(&str, &str)]) -> Inputs {
    Inputs {
        file: (!file.is_empty()).then(|| ("c.toml".to_owned(), file.to_owned())),
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        flags: super::Layer::new(),
    }
}

fn try_build(inputs: Inputs) -> Result<Config, Vec<Mistake>> {
    build(inputs, &Platform { data_dir: "/data".into() })
}

/// `expected` is the mistakes, one a line.
#[track_caller]
fn check(file: &str, environment: &[(&str, &str)], expected: &[&str]) {
    let mistakes = try_build(inputs(file, environment)).err().unwrap_or_default();
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(lines, expected, "{file} {environment:?}");
}

#[test]
fn the_reference_file_names_every_key_once_with_its_default_and_meaning() {
    let config = try_build(inputs(REFERENCE, &[])).expect("cluster.toml is valid");
    let default = try_build(inputs("", &[])).expect("defaults are valid");
    for key in KEYS {
        let (section, name) = key.path.split_once('.').unwrap();
        let body = REFERENCE.split(&format!("\n[{section}]\n")).nth(1).unwrap_or_else(|| panic!("no [{section}]"));
        let body = body.split("\n[").next().unwrap();
        let lines = body.lines().filter(|line| line.starts_with(&format!("{name} = "))).count();
        assert_eq!(lines, 1, "{} must stand in cluster.toml once", key.path);
        assert!(body.contains(&format!("# {}\n", key.meaning)), "{}: its meaning is not in cluster.toml", key.path);
        assert_eq!(config.effective[key.path].value, default.effective[key.path].value, "{}", key.path);
        assert!(matches!(config.effective[key.path].source, Source::File { .. }), "{}", key.path);
    }
    assert_eq!(REFERENCE.matches("\n[").count(), SECTIONS.len());
}

#[test]
fn defaults_are_those_of_the_protocol() {
    let config = try_build(inputs("", &[])).unwrap();
    assert_eq!(config.crawl.limits, argiope_protocol::Limits::default());
    assert_eq!(config.crawl.politeness, argiope_protocol::Politeness::default());
    assert_eq!(config.crawl.scope, argiope_protocol::Scope::default());
    assert_eq!(config.data_dir, std::path::Path::new("/data"));
    assert_eq!(config.crawl.max_rate, None);
    assert_eq!(config.egress.allow_ports, None);
}

#[test]
fn flags_win_over_environment_over_file_over_default() {
    let file = "[crawl]\nlimit = 1\ndepth = 2\ndelay_secs = 3\n";
    let mut given = inputs(file, &[("ARGIOPE_CRAWL_DEPTH", "20"), ("ARGIOPE_CRAWL_DELAY_SECS", "0.5")]);
    given.flags.insert("crawl.delay_secs", (Typed::Float(0.25), Source::Flag("--delay")));
    let config = try_build(given).unwrap();
    assert_eq!(config.crawl.limits.max_pages, 1);
    assert_eq!(config.crawl.limits.max_depth, 20);
    assert_eq!(config.crawl.politeness.delay, Duration::from_millis(250));
    assert_eq!(config.effective["crawl.delay_secs"].source.to_string(), "flag --delay");
    assert_eq!(config.effective["crawl.depth"].source.to_string(), "environment ARGIOPE_CRAWL_DEPTH");
    assert_eq!(config.effective["crawl.limit"].source.to_string(), "c.toml:2");
    assert_eq!(config.effective["crawl.per_host"].source.to_string(), "default");
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_value_and_range() {
    check(
        "[crawl]\ndely_secs = 2\nlimit = 0\nscope = \"planet\"\n[egres]\nx = 1\n[embedder]\nkind = \"openai\"\n",
        &[("ARGIOPE_CRAWL_DEPTH", "deep")],
        &[
            "c.toml:2: crawl.dely_secs: unknown key; did you mean `crawl.delay_secs`?",
            "c.toml:5: [egres]: unknown section; there are node, crawl, egress, frontier, pages, vectors, embedder, cluster, http, client, log, metrics",
            "c.toml:3: crawl.limit = 0: must be a whole number from 1 to 1000000000",
            "environment ARGIOPE_CRAWL_DEPTH: crawl.depth = \"deep\": must be a whole number from 0 to 1000",
            "c.toml:4: crawl.scope = \"planet\": must be one of directory, host, domain, any",
            "default: embedder.url = \"\": needed when embedder.kind is \"openai\": the base URL of the embeddings API",
            "default: embedder.model = \"\": needed when embedder.kind is \"openai\": the model's name",
            "default: embedder.dimension = \"\": needed when embedder.kind is \"openai\": the number of components of the model's vectors",
        ],
    );
}

#[test]
fn a_vector_server_needs_an_address_and_its_key_is_never_shown() {
    check(
        "[vectors]\nbackend = \"qdrant\"\n",
        &[],
        &[
            "default: vectors.url = \"\": needed when vectors.backend is \"qdrant\": the address of the server's gRPC interface",
        ],
    );
    check(
        "[vectors]\napi_key = \"s3cret\"\n",
        &[],
        &[
            "c.toml:2: vectors.api_key = \"***\": must be \"env:NAME\" or \"file:PATH\", or \"\" (never the secret itself)",
        ],
    );
    let file = "[vectors]\nbackend = \"qdrant\"\nurl = \"http://q:6334\"\napi_key = \"env:KEY\"\ntimeout_secs = 2\n";
    let config = try_build(inputs(file, &[])).unwrap();
    let Vectors::Qdrant { url, api_key, prefix, timeout } = config.vectors else { panic!("{:?}", config.vectors) };
    assert_eq!((url.as_str(), prefix.as_str(), timeout), ("http://q:6334/", "argiope", Duration::from_secs(2)));
    assert_eq!(api_key.map(|key| key.to_string()), Some("***".to_owned()));
}

#[test]
fn what_nodes_share_must_fit_together() {
    check(
        "[frontier]\nbackend = \"redis\"\n[pages]\nbackend = \"objects\"\nurl = \"ftp://a/\"\n[cluster]\nlisten = \"0.0.0.0:1\"\n\
         key_file = \"k\"\n[http]\nlisten = \"[::]:80\"\ntls_key_file = \"k\"\n",
        &[],
        &[
            "default: frontier.redis_urls = []: needed when frontier.backend is \"redis\": the address of the server",
            "default: vectors.backend = \"embedded\": must be \"qdrant\" when frontier.backend is \"redis\": nodes that share a frontier share it all",
            "c.toml:5: pages.url = \"ftp://a/\": needed when pages.backend is \"objects\": file:///DIR or s3://BUCKET/PREFIX",
            "default: cluster.ca_file = \"\": ca_file, cert_file and key_file go together: set all or none",
            "c.toml:7: cluster.listen = \"0.0.0.0:1\": anything but loopback needs cluster.ca_file, cert_file, key_file and cluster.cookie",
            "default: http.tls_cert_file = \"\": tls_cert_file and tls_key_file go together: set both or none",
            "c.toml:10: http.listen = \"[::]:80\": anything but loopback needs http.tls_cert_file, http.tls_key_file and http.keys",
        ],
    );
    check(
        "[node]\nroles = [\"boss\"]\n[frontier]\nredis_urls = [\"redis://me:pw@h:1\"]\n[cluster]\nlisten = \"here\"\n",
        &[],
        &[
            "c.toml:2: node.roles = [\"boss\"]: must be a list of control, frontier, fetch, render, embed",
            "c.toml:4: frontier.redis_urls = \"***\": must be a list of redis://HOST:PORT (user and password have keys of their own)",
            "c.toml:6: cluster.listen = \"here\": must be HOST:PORT, or \"\"",
        ],
    );
    let file = "[node]\nroles = [\"fetch\"]\n[frontier]\nbackend = \"redis\"\nredis_urls = [\"redis://127.0.0.1:6379\"]\n\
                [pages]\nbackend = \"objects\"\nurl = \"file:///p\"\n\
                [vectors]\nbackend = \"qdrant\"\nurl = \"http://q:6334\"\n";
    let config = try_build(inputs(file, &[("ARGIOPE_HTTP_KEYS", "env:A, file:/b")])).unwrap();
    assert_eq!(config.roles, [argiope_protocol::Role::Fetch]);
    assert_eq!(config.http.keys.len(), 2);
    assert!(config.client.is_none() && config.cluster.tls.is_none());
    assert!(matches!(config.frontier.backend, super::FrontierBackend::Redis { urls, .. } if urls.len() == 1));
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    let cases = [
        ("[crawl]\ndelay_secs = -1", "c.toml:2: crawl.delay_secs = -1: must be a number from 0 to 3600"),
        ("[crawl]\ndelay_secs = nan", "c.toml:2: crawl.delay_secs = NaN: must be a number from 0 to 3600"),
        ("[crawl]\nrobots = 1979-05-27", "c.toml:2: crawl.robots = a date: must be true or false"),
        (
            "[crawl]\ncontact = \"me\"",
            "c.toml:2: crawl.contact = \"me\": must be a mail address or an http(s) URL, or \"\"",
        ),
        (
            "[egress]\nallow_cidrs = [\"10.0.0.0/33\"]",
            "c.toml:2: egress.allow_cidrs = [\"10.0.0.0/33\"]: must be a list of CIDR blocks such as \"127.0.0.0/8\"",
        ),
        (
            "[egress]\nresolve = [\"10.0.0.1:10.0.0.2\"]",
            "c.toml:2: egress.resolve = [\"10.0.0.1:10.0.0.2\"]: must be a list of HOST:ADDRESS such as \"docs.example.org:127.0.0.1\"",
        ),
        (
            "[embedder]\napi_key = \"sk-secret\"",
            "c.toml:2: embedder.api_key = \"***\": must be \"env:NAME\" or \"file:PATH\", or \"\" (never the secret itself)",
        ),
    ];
    for (file, expected) in cases {
        check(file, &[], &[expected]);
    }
}

#[test]
fn a_syntax_error_names_its_line_and_hides_no_other_mistake() {
    let mistakes = try_build(inputs("[crawl]\nlimit = = 3\ndepth = -4\n", &[])).unwrap_err();
    let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("c.toml:2: not valid TOML: "), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("c.toml:3: crawl.depth = -4: ")), "{lines:?}");
}

#[test]
fn the_environment_spells_lists_as_toml_or_with_commas_and_leaves_foreign_names_alone() {
    let environment = [
        ("ARGIOPE_EGRESS_ALLOW_CIDRS", "127.0.0.0/8,::1"),
        ("ARGIOPE_EGRESS_ALLOW_PORTS", "[80, 8000]"),
        ("ARGIOPE_EGRESS_RESOLVE", "Docs.Example.org:10.0.0.1, docs.example.org:[::1],b.example:fd00::7"),
        ("ARGIOPE_CRAWL_EXCLUDE", "a{1,2}"),
        ("ARGIOPE_QDRANT", "/somewhere/else"),
        ("ARGIOPE_CRAWL_ROBOTS", "no"),
    ];
    let config = try_build(inputs("", &environment)).unwrap();
    assert_eq!(config.egress.allow_cidrs.len(), 2);
    assert_eq!(config.egress.allow_ports, Some(vec![80, 8000]));
    let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<std::net::IpAddr>>();
    assert_eq!(config.egress.static_hosts["docs.example.org"], addresses(&["10.0.0.1", "::1"]));
    assert_eq!(config.egress.static_hosts["b.example"], addresses(&["fd00::7"]));
    assert_eq!(config.crawl.scope.exclude, ["a{1,2}"]);
    assert!(!config.crawl.politeness.robots);
    check(
        "",
        &[("ARGIOPE_CRAWL_DELAY_SEC", "1")],
        &["environment ARGIOPE_CRAWL_DELAY_SEC: crawl.delay_sec: unknown key; did you mean `crawl.delay_secs`?"],
    );
}

#[test]
fn the_contact_becomes_part_of_the_user_agent() {
    let config = try_build(inputs("[crawl]\ncontact = \"me@example.org\"", &[])).unwrap();
    assert_eq!(config.egress.user_agent, format!("argiope/{} (+me@example.org)", env!("CARGO_PKG_VERSION")));
    assert!(try_build(inputs("[crawl]\ncontact = \"a@b.c\\r\\nX: y\"", &[])).is_err());
}

#[test]
fn printing_never_shows_a_secret_and_reads_back_as_the_same_configuration() {
    let file = "[embedder]\nkind = \"openai\"\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\ndimension = 3\napi_key = \"env:MY_KEY\"\n";
    let config = try_build(inputs(file, &[])).unwrap();
    let (text, json) = (super::print::to_text(&config), super::print::to_json(&config).to_string());
    assert!(!text.contains("MY_KEY") && !json.contains("MY_KEY"));
    let again = try_build(inputs(&text.replace("\"***\"", "\"env:MY_KEY\""), &[])).unwrap();
    for key in KEYS {
        assert_eq!(config.effective[key.path].value, again.effective[key.path].value, "{}", key.path);
    }
}
