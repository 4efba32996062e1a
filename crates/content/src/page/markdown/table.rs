//! Tables: which are data and which are layout, and data as a grid of cells.

use super::super::dom::{Dom, Facts};
use super::super::tag::Tag;

/// Columns of one table; cells beyond join the last.
const MAX_COLUMNS: usize = 64;
/// Rows that a cell may span.
const MAX_ROW_SPAN: usize = 1000;
/// Nodes of a table within which its first `col` or its caption stands.
const MAX_BEFORE_COLUMNS: usize = 8;

/// A cell's text and extent.
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) is_header: bool,
}

/// The rows of a table that were read and not yet written.
pub(super) struct Table {
    pub(super) is_layout: bool,
    rows: Vec<Row>,
}

#[derive(Default)]
struct Row {
    cells: Vec<Cell>,
    is_head: bool,
}

impl Cell {
    /// An empty cell with the extent that its element states.
    pub(super) fn of(dom: &Dom, at: usize) -> Self {
        let span = |name: &str, most: usize| {
            dom.attribute(at, name).and_then(|value| value.trim().parse().ok()).unwrap_or(1usize).clamp(1, most)
        };
        Self {
            text: String::new(),
            columns: span("colspan", MAX_COLUMNS),
            rows: span("rowspan", MAX_ROW_SPAN),
            is_header: dom.tag(at) == Tag::Th,
        }
    }
}

/// Whether a table only places things: its cells are then read as blocks.
pub(super) fn is_layout(dom: &Dom, facts: &Facts, at: usize) -> bool {
    let count = facts.at(at);
    if matches!(dom.attribute(at, "role"), Some("presentation" | "none")) {
        return true;
    }
    if count.n_tables > 1 && count.n_header_cells == 0 {
        return true;
    }
    let is_grid = count.n_cells > count.n_rows && (count.n_rows > 1 || names_columns(dom, at));
    count.n_header_cells == 0 && !is_grid
}

/// Whether a table says what its columns are: a single row of it is data too.
fn names_columns(dom: &Dom, at: usize) -> bool {
    dom.descendants(at).take(MAX_BEFORE_COLUMNS).any(|index| matches!(dom.tag(index), Tag::Col | Tag::Caption))
}

/// Whether a row holds what a cell cannot: headings, listings, tables of several rows.
pub(super) fn is_block_row(facts: &Facts, at: usize) -> bool {
    let count = facts.at(at);
    count.n_headings > 0 || count.n_listings > 0 || (count.n_tables > 0 && count.n_rows > 3)
}

impl Table {
    /// A table without rows.
    pub(super) fn new(is_layout: bool) -> Self {
        Self { is_layout, rows: Vec::new() }
    }

    /// Begins a row.
    pub(super) fn begin_row(&mut self, is_head: bool) {
        self.rows.push(Row { cells: Vec::new(), is_head });
    }

    /// Adds a cell to the row.
    pub(super) fn push(&mut self, cell: Cell) {
        if let Some(row) = self.rows.last_mut() {
            row.cells.push(cell);
        }
    }

    /// The rows as Markdown, `None` when there is no text in them. `is_full` is asked with the bytes so far.
    pub(super) fn take(&mut self, max_bytes: usize) -> Option<String> {
        let rows = std::mem::take(&mut self.rows);
        let (grid, heads) = lay_out(rows, max_bytes);
        let n_columns = grid.iter().map(Vec::len).max()?;
        let mut out = String::new();
        let has_head = heads.first().copied().unwrap_or(false);
        if !has_head {
            push_row(&mut out, &[], n_columns);
            push_rule(&mut out, n_columns);
        }
        for (index, row) in grid.iter().enumerate() {
            push_row(&mut out, row, n_columns);
            if has_head && index == 0 {
                push_rule(&mut out, n_columns);
            }
            if out.len() > max_bytes {
                break;
            }
        }
        out.pop();
        Some(out)
    }
}

/// Rows with spans laid out, rows without text left out, and whether each is a header.
fn lay_out(rows: Vec<Row>, max_bytes: usize) -> (Vec<Vec<String>>, Vec<bool>) {
    let n_columns = count_columns(&rows);
    let mut spans = vec![0usize; n_columns];
    let (mut grid, mut heads, mut n_bytes) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        if row.cells.iter().all(|cell| cell.text.is_empty()) || n_bytes > max_bytes {
            continue;
        }
        let is_head = row.is_head || row.cells.iter().all(|cell| cell.is_header);
        let mut line: Vec<String> = Vec::with_capacity(n_columns);
        let n_cells = row.cells.len();
        for (index, cell) in row.cells.into_iter().enumerate() {
            while line.len() < n_columns && take_span(&mut spans, line.len()) {
                line.push(String::new());
            }
            place(&mut line, &mut spans, cell, n_columns, n_cells - index - 1);
        }
        while line.len() < n_columns {
            take_span(&mut spans, line.len());
            line.push(String::new());
        }
        n_bytes += line.iter().map(|text| text.len() + 3).sum::<usize>();
        grid.push(line);
        heads.push(is_head);
    }
    (grid, heads)
}

/// Cells of the widest row, those counted that reach into it from above. Column spans do not widen a table: what
/// they state is often more than there is.
fn count_columns(rows: &[Row]) -> usize {
    let (mut widest, mut reaching) = (1, Vec::<usize>::new());
    for row in rows {
        widest = widest.max(row.cells.len() + reaching.len());
        reaching.iter_mut().for_each(|n_rows| *n_rows -= 1);
        reaching.extend(row.cells.iter().map(|cell| cell.rows - 1).take(MAX_COLUMNS));
        reaching.retain(|n_rows| *n_rows > 0);
        reaching.truncate(MAX_COLUMNS);
    }
    widest.min(MAX_COLUMNS)
}

/// Puts a cell down, leaving a column for each of the `n_after` cells that follow it.
fn place(line: &mut Vec<String>, spans: &mut [usize], cell: Cell, n_columns: usize, n_after: usize) {
    if line.len() >= n_columns {
        if let Some(last) = line.last_mut() {
            if !last.is_empty() && !cell.text.is_empty() {
                last.push(' ');
            }
            last.push_str(&cell.text);
        }
        return;
    }
    let end = (line.len() + cell.columns).min(n_columns.saturating_sub(n_after)).max(line.len() + 1);
    for column in line.len()..end {
        if let Some(span) = spans.get_mut(column) {
            *span = cell.rows - 1;
        }
    }
    line.push(cell.text);
    line.resize(end, String::new());
}

fn take_span(spans: &mut [usize], column: usize) -> bool {
    match spans.get_mut(column) {
        Some(span) if *span > 0 => {
            *span -= 1;
            true
        }
        _ => false,
    }
}

fn push_row(out: &mut String, cells: &[String], n_columns: usize) {
    out.push('|');
    for column in 0..n_columns {
        out.push(' ');
        out.push_str(cells.get(column).map_or("", String::as_str));
        out.push_str(" |");
    }
    out.push('\n');
}

fn push_rule(out: &mut String, n_columns: usize) {
    out.push('|');
    (0..n_columns).for_each(|_| out.push_str(" --- |"));
    out.push('\n');
}
