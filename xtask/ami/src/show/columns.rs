//! Columns of text.

/// The rows as lines, each column as wide as its widest cell, two spaces between them.
#[must_use]
pub fn lines(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:<width$}", width = width(column).unwrap_or_default()));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let rows = [["a", "bé", "c"], ["long", "b", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(super::lines(&rows), "a     bé  c\nlong  b\n");
    }
}
