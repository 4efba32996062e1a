//! The site in a process of its own, so that its work is not counted.

use anyhow::Context;
use argiope_testkit::http::{Body, Request, Response};
use argiope_testkit::site::{Behaviour, Content, Generated, Site, SiteHost};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Time that the quickest and the slowest host take for an answer.
const THINK_MS: (usize, usize) = (50, 200);
/// Links of each page to other hosts.
const N_OUTWARD: usize = 3;
const SEED: u64 = 7;

/// A running origin; ends when dropped.
pub(crate) struct Origin {
    child: Child,
    /// The front page of each host.
    pub(crate) seeds: Vec<String>,
}

impl Origin {
    pub(crate) fn start(hosts: usize, pages: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["origin", &hosts.to_string(), &pages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the origin")?;
        let lines = BufReader::new(child.stdout.take().context("standard output of the origin")?).lines();
        let seeds = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
        Ok(Self { child, seeds })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends with its input.
        let _ = self.child.wait();
    }
}

/// Generated pages with links to other hosts.
struct Linked {
    pages: Generated,
    host: usize,
}

impl Content for Linked {
    fn answer(&self, request: &Request, hosts: &[SiteHost]) -> Response {
        let mut response = self.pages.answer(request, hosts);
        if let Body::Full(bytes) = &response.body
            && let Some(page) =
                std::str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix("</main></body></html>\n"))
        {
            let mut page = page.to_owned();
            for step in 1..=N_OUTWARD {
                let other = hosts.get((self.host + 17 * step) % hosts.len().max(1));
                let link =
                    other.map(|host| format!("<p><a href=\"{}\">there</a>\n", host.url_like(request, request.path())));
                page.push_str(&link.unwrap_or_default());
            }
            page.push_str("</main></body></html>\n");
            response.body = Body::Full(page.into());
        }
        response
    }
}

/// Serves until standard input closes; prints each host's first URL, then `ready`.
pub(crate) fn serve(hosts: usize, pages: usize) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let builder = (0..hosts).fold(Site::builder(), |builder, host| {
            let spread = (THINK_MS.1 - THINK_MS.0) * host / hosts.max(2).saturating_sub(1);
            let think = Duration::from_millis((THINK_MS.0 + spread) as u64);
            let content = Linked { pages: Generated::new(host, pages, SEED), host };
            builder.host(&format!("h{host}.test"), content, Behaviour { think, ..Behaviour::default() })
        });
        let site = builder.start().await?;
        site.hosts().iter().for_each(|host| println!("{}", host.url("/")));
        println!("ready");
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        Ok(())
    })
}
