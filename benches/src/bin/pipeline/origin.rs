//! The site in a process of its own, so that its work is not counted.

use anyhow::{Context, bail};
use argiope_testkit::site::{Behaviour, Site, Tree};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running origin; ends when dropped.
pub(crate) struct Origin {
    child: Child,
    /// One for each top-level folder.
    pub(crate) seeds: Vec<String>,
    /// Every page of the folders, by its host.
    pub(crate) urls: Vec<String>,
}

impl Origin {
    pub(crate) fn start(directory: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("origin")
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the origin")?;
        let lines = BufReader::new(child.stdout.take().context("standard output of the origin")?).lines();
        let mut seeds = Vec::new();
        for line in lines {
            match line?.as_str() {
                "ready" => break,
                seed => seeds.push(seed.to_owned()),
            }
        }
        let tree = Tree::open(directory).with_context(|| format!("read {}", directory.display()))?;
        let urls = tree.pages().iter().filter_map(|path| {
            let folder = path.get(1..)?.split_once('/')?.0;
            let seed = seeds.iter().find(|seed| seed.ends_with(&format!("/{folder}/")))?;
            Some(format!("{seed}{}", path.get(folder.len() + 2..)?))
        });
        let urls = urls.collect::<Vec<_>>();
        if urls.is_empty() {
            bail!("no folder with pages in {}", directory.display());
        }
        Ok(Self { child, seeds, urls })
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves until standard input closes; prints each folder's first URL, then `ready`.
pub(crate) fn serve(directory: &Path) -> anyhow::Result<()> {
    let mut folders: Vec<_> = std::fs::read_dir(directory)?.collect::<Result<_, _>>()?;
    folders.retain(|entry| entry.path().is_dir());
    folders.sort_by_key(std::fs::DirEntry::file_name);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut builder = Site::builder();
        for folder in &folders {
            let name = format!("{}.test", folder.file_name().to_string_lossy());
            builder = builder.host(&name, Tree::open(directory)?, Behaviour::default());
        }
        let site = builder.start().await?;
        for (host, folder) in site.hosts().iter().zip(&folders) {
            println!("{}", host.url(&format!("/{}/", folder.file_name().to_string_lossy())));
        }
        println!("ready");
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
        Ok(())
    })
}
