//! The table.

use crate::measure::Usage;

/// One measured process.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) n_pages: usize,
    pub(crate) usage: Usage,
    pub(crate) first_page_secs: Option<f64>,
}

impl Row {
    /// CPU seconds for a thousand pages.
    #[expect(clippy::cast_precision_loss, reason = "numbers of pages are small")]
    pub(crate) fn cpu_per_thousand(&self) -> f64 {
        self.usage.cpu_secs * 1000.0 / self.n_pages.max(1) as f64
    }
}

/// Prints rows; with the cost of (b), ratios to it as well.
pub(crate) fn print(rows: &[Row], unit: Option<f64>) {
    println!(
        "| process | pages | CPU s / 1,000 pages | ratio to b | wall s | peak RSS MB | anonymous MB | first page s |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let ratio = unit.map_or_else(String::new, |unit| format!("{:.2}", row.cpu_per_thousand() / unit));
        let first = row.first_page_secs.map_or_else(String::new, |secs| format!("{secs:.2}"));
        println!(
            "| {} | {} | {:.2} | {ratio} | {:.1} | {} | {} | {first} |",
            row.name,
            row.n_pages,
            row.cpu_per_thousand(),
            row.usage.wall_secs,
            row.usage.peak_rss_kib / 1024,
            row.usage.peak_anonymous_kib / 1024,
        );
    }
}
