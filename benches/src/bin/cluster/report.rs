//! What happened between two looks, as a table.

use crate::sample::Sample;

/// One number of nodes.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    n_nodes: usize,
    secs: f64,
    pages: f64,
    urls: f64,
    nodes: f64,
    redis: f64,
    qdrant: f64,
    origin: f64,
    /// Share of the machine's processors that was used, by whomever.
    busy: f64,
    calls: f64,
    link_bytes: f64,
    commands: f64,
}

impl Row {
    pub(crate) fn new(n_nodes: usize, before: &Sample, after: &Sample) -> Self {
        let grown = |of: fn(&Sample) -> f64| of(after) - of(before);
        Self {
            n_nodes,
            secs: after.at.duration_since(before.at).as_secs_f64(),
            pages: grown(|sample| sample.stored),
            urls: grown(|sample| sample.ended),
            nodes: grown(|sample| sample.nodes),
            redis: grown(|sample| sample.redis),
            qdrant: grown(|sample| sample.qdrant),
            origin: grown(|sample| sample.origin),
            busy: grown(|sample| sample.busy) / grown(|sample| sample.had),
            calls: grown(|sample| sample.calls),
            link_bytes: grown(|sample| sample.link_bytes),
            commands: grown(|sample| sample.commands),
        }
    }

    fn rate(&self) -> f64 {
        self.pages / self.secs
    }

    fn node_ms_a_page(&self) -> f64 {
        self.nodes * 1_000.0 / self.pages
    }

    /// CPU of the nodes beyond that of the first row, for each call that crossed.
    fn micros_a_call(&self, first: &Self) -> Option<f64> {
        (self.calls > 0.0).then(|| (self.node_ms_a_page() - first.node_ms_a_page()) * 1_000.0 * self.pages / self.calls)
    }
}

/// Prints rows; linearity is measured against the first.
pub(crate) fn print(rows: &[Row], first: Option<&Row>) {
    println!(
        "| nodes | pages/s | linearity | CPU s / 1,000 pages: nodes | Redis | Qdrant | Redis µs a URL | commands a URL | calls a page | link bytes a call | node µs a call | CPUs busy | origin CPU s / 1,000 pages |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let first = first.unwrap_or(row);
        let linearity = row.rate() / (first.rate() / first.n_nodes as f64 * row.n_nodes as f64);
        let by_pages = |secs: f64| secs * 1_000.0 / row.pages;
        println!(
            "| {} | {:.1} | {:.1} % | {:.2} | {:.2} | {:.2} | {:.0} | {:.1} | {:.2} | {:.0} | {} | {:.0} % | {:.2} |",
            row.n_nodes,
            row.rate(),
            linearity * 100.0,
            by_pages(row.nodes),
            by_pages(row.redis),
            by_pages(row.qdrant),
            row.redis * 1e6 / row.urls,
            row.commands / row.urls,
            row.calls / row.pages,
            row.link_bytes / row.calls.max(1.0),
            row.micros_a_call(first).map_or_else(|| "–".to_owned(), |micros| format!("{micros:.0}")),
            row.busy * 100.0,
            by_pages(row.origin),
        );
    }
}
