//! The nodes as a table; tab-separated in a pipe.

use super::super::columns::{clipped, columns, padded};
use super::super::i18n::Words;
use crate::queue::NodeRecord;

/// Columns between two cells.
const GAP: usize = 2;
/// Minimum width of a name.
const NARROWEST: usize = 8;
/// Which column contains the names, which are clipped if the terminal is too narrow.
const NAMES: usize = 1;

/// One line for each node, after a header. `width` is that of the terminal, if there is one.
pub(super) fn lines(nodes: &[NodeRecord], words: &Words, width: Option<usize>) -> Vec<String> {
    if nodes.is_empty() {
        return vec![words.no_nodes.to_owned()];
    }
    let header = words.node_columns.map(str::to_owned);
    let rows = nodes.iter().map(|node| cells(node, words, width.is_some()));
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    match width {
        Some(width) => table(&rows, width),
        None => rows.iter().map(|row| row.join("\t")).collect(),
    }
}

fn cells(node: &NodeRecord, words: &Words, is_terminal: bool) -> [String; 6] {
    let last_seen = if is_terminal {
        words.ago(node.silent)
    } else {
        node.last_seen.to_string()
    };
    [
        node.id.to_string(),
        node.name.clone(),
        node.version.clone(),
        last_seen,
        node.in_flight.to_string(),
        words.yes_or_no(node.draining).to_owned(),
    ]
}

fn table(rows: &[[String; 6]], width: usize) -> Vec<String> {
    let mut widths = [0; 6];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = columns(cell).max(*width);
        }
    }
    let all: usize = widths.iter().sum::<usize>() + 5 * GAP;
    if let Some(names) = widths.get_mut(NAMES) {
        *names = names
            .saturating_sub(all.saturating_sub(width))
            .max(NARROWEST);
    }
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| padded(&clipped(cell, width), width))
            .collect();
        cells.join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::{Locale, Timestamp};

    fn node(name: &str) -> NodeRecord {
        NodeRecord {
            id: 12,
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            last_seen: Timestamp::from_millis(1_764_547_200_000),
            in_flight: 3,
            draining: true,
            silent: Duration::from_secs(130),
        }
    }

    #[test]
    fn table_fits_the_terminal() {
        let nodes = [node("a"), node("mail-gateway-frankfurt-rack-12-node-x7f2")];
        for locale in [Locale::En, Locale::ZhCn] {
            for width in [60, 80, 120] {
                let lines = lines(&nodes, Words::of(locale), Some(width));
                assert!(lines.iter().all(|line| columns(line) <= width), "{lines:?}");
            }
        }
        let wide = lines(&nodes, Words::of(Locale::En), Some(120));
        assert!(
            wide[1].starts_with("12  a  ") && wide[1].contains("2m ago"),
            "{wide:?}"
        );
    }

    #[test]
    fn pipe_gets_every_cell_whole() {
        let lines = lines(&[node("a")], Words::of(Locale::En), None);
        assert_eq!(lines[1], "12\ta\t1.2.3\t2025-12-01T00:00:00Z\t3\tyes");
    }
}
