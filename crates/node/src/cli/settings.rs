//! Flags that set configuration keys of a crawl.

use crate::config::schema::{PROCESS, RETAIN, SCOPES};
use crate::config::{Layer, Source, Typed};
use clap::Args;
use clap::builder::PossibleValuesParser;

/// What a crawl may be told on the command line; each flag stands for one key of the configuration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Settings {
    /// Pages in all [default: 10000].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Links between a page and a seed [default: 10].
    #[arg(long, value_name = "N")]
    pub(crate) depth: Option<u64>,
    /// Seconds between two starts at one host [default: 1]; a larger Crawl-delay wins.
    #[arg(long, value_name = "SECS", allow_negative_numbers = true)]
    pub(crate) delay: Option<f64>,
    /// Requests at once to one host [default: 1].
    #[arg(long, value_name = "N")]
    pub(crate) per_host: Option<u64>,
    /// How far pages are processed [default: vectors].
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(PROCESS))]
    pub(crate) process: Option<String>,
    /// Crawl only URLs that match; repeatable.
    #[arg(long, value_name = "REGEX")]
    pub(crate) include: Vec<String>,
    /// Crawl no URLs that match; repeatable.
    #[arg(long, value_name = "REGEX")]
    pub(crate) exclude: Vec<String>,
    /// How far from its seeds the crawl may go [default: directory].
    #[arg(long, value_name = "SCOPE", value_parser = PossibleValuesParser::new(SCOPES))]
    pub(crate) scope: Option<String>,
    /// Ignore robots.txt, meta robots and nofollow: for your own sites.
    #[arg(long)]
    pub(crate) no_robots: bool,
    /// Do not read sitemaps.
    #[arg(long)]
    pub(crate) no_sitemaps: bool,
    /// What of a fetched page stays on disk [default: raw].
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(RETAIN))]
    pub(crate) retain: Option<String>,
    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// What belongs to the process that crawls and not to its job: `resume` and `retry` are told it anew.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reach {
    /// Requests at once, over all hosts [default: 32].
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u64>,
    /// Addresses that may be reached although the egress policy denies them, e.g. 127.0.0.0/8; repeatable.
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow_cidr: Vec<String>,
    /// Address of a name that is not looked up, e.g. docs.example.org:10.1.2.3 for a staging site; repeatable.
    #[arg(long, value_name = "HOST:ADDRESS")]
    pub(crate) resolve: Vec<String>,
    /// Mail address or URL for User-Agent; needed for hosts that are not yours.
    #[arg(long, value_name = "MAIL_OR_URL")]
    pub(crate) contact: Option<String>,
    /// Requests a second over all hosts.
    #[arg(long, value_name = "RPS", allow_negative_numbers = true)]
    pub(crate) max_rate: Option<f64>,
}

type Given = (&'static str, &'static str, Option<Typed>);

fn int(value: Option<u64>) -> Option<Typed> {
    value.map(|number| Typed::Int(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn text(value: &Option<String>) -> Option<Typed> {
    value.clone().map(Typed::Text)
}

fn list(items: &[String]) -> Option<Typed> {
    (!items.is_empty()).then(|| Typed::List(items.iter().cloned().map(Typed::Text).collect()))
}

fn add(layer: &mut Layer, given: impl IntoIterator<Item = Given>) {
    for (key, flag, typed) in given {
        if let Some(typed) = typed {
            layer.insert(key, (typed, Source::Flag(flag)));
        }
    }
}

impl Reach {
    /// Adds what was given to a layer.
    pub(crate) fn add_to(&self, layer: &mut Layer) {
        add(
            layer,
            [
                ("crawl.concurrency", "--concurrency", int(self.concurrency)),
                ("egress.allow_cidrs", "--allow-cidr", list(&self.allow_cidr)),
                ("egress.resolve", "--resolve", list(&self.resolve)),
                ("crawl.contact", "--contact", text(&self.contact)),
                ("crawl.max_rate", "--max-rate", self.max_rate.map(Typed::Float)),
            ],
        );
    }
}

impl Settings {
    /// Adds what was given to a layer.
    pub(crate) fn add_to(&self, layer: &mut Layer) {
        let given = [
            ("crawl.limit", "--limit", int(self.limit)),
            ("crawl.depth", "--depth", int(self.depth)),
            ("crawl.delay_secs", "--delay", self.delay.map(Typed::Float)),
            ("crawl.per_host", "--per-host", int(self.per_host)),
            ("crawl.process", "--process", text(&self.process)),
            ("crawl.include", "--include", list(&self.include)),
            ("crawl.exclude", "--exclude", list(&self.exclude)),
            ("crawl.scope", "--scope", text(&self.scope)),
            ("crawl.robots", "--no-robots", self.no_robots.then_some(Typed::Bool(false))),
            ("crawl.sitemaps", "--no-sitemaps", self.no_sitemaps.then_some(Typed::Bool(false))),
            ("crawl.retain", "--retain", text(&self.retain)),
        ];
        add(layer, given);
        self.reach.add_to(layer);
    }
}
