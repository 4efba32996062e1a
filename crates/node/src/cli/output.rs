//! Where answers go: text for a person, or one JSON object a line.

use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Standard output in one of two forms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Whether `--json` was given.
    pub(crate) is_json: bool,
}

impl Output {
    /// An output in the form that was asked for.
    pub(crate) const fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Prints text for a person; nothing with `--json`.
    pub(crate) fn text(self, text: impl AsRef<str>) {
        if !self.is_json {
            write_stdout(text.as_ref());
        }
    }

    /// Prints one object; nothing without `--json`.
    pub(crate) fn object(self, object: &Value) {
        self.objects(std::slice::from_ref(object));
    }

    /// Prints objects, a line each, in one piece; nothing without `--json`.
    pub(crate) fn objects(self, objects: &[Value]) {
        if self.is_json && !objects.is_empty() {
            let lines: Vec<String> = objects.iter().map(Value::to_string).collect();
            write_stdout(&lines.join("\n"));
        }
    }

    /// Whether a progress bar can be seen.
    pub(crate) fn shows_progress(self) -> bool {
        !self.is_json && std::io::stderr().is_terminal()
    }
}

/// A line on standard error that is for a person in any case.
pub(crate) fn note(text: impl AsRef<str>) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

/// A reader that went away (`| head`) ends nothing: a crawl goes on to its end all the same.
fn write_stdout(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// Columns of text, each as wide as its widest cell; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..n_columns).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        format!("  {}", cells.join("  ")).trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes in the unit that a person reads.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = UNITS.iter().find(|(_, size)| count >= *size);
    unit.map_or_else(
        || format!("{count} B"),
        |(name, size)| format!("{}.{} {name}", count / size, (count % size) * 10 / size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(table(&rows), "  a    bb\n  ccc  d");
        assert_eq!(bytes(1_536), "1.5 KiB");
    }
}
