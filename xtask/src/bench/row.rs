//! A figure of the benchmark, what it is compared with, and the table of all.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result, ensure};

/// The words that a test prints: figures by their names.
pub struct Words(BTreeMap<String, String>);

/// The bound of a figure; of its ratio where it is compared.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

/// A figure.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    unit: &'static str,
    measured: f64,
    beside: Option<(&'static str, f64)>,
    target: Option<Target>,
}

/// The figures that follow this word in the lines of what a test printed.
///
/// # Errors
/// When there is no such line.
pub fn lines(printed: &str, word: &str) -> Result<Vec<Words>> {
    let figures = |line: &str| {
        // The test's own name may come before it.
        let (_, figures) = line.split_once(&format!("{word} "))?;
        let pairs = figures.split_whitespace().map(|pair| pair.split_once('='));
        let pairs: Option<Vec<_>> = pairs.collect();
        let named = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        pairs.filter(|pairs| !pairs.is_empty()).map(|pairs| Words(pairs.into_iter().map(named).collect()))
    };
    let found: Vec<Words> = printed.lines().filter_map(figures).collect();
    ensure!(!found.is_empty(), "the test printed no figures of {word}");
    Ok(found)
}

/// The first of them.
///
/// # Errors
/// As [`lines`].
pub fn first(printed: &str, word: &str) -> Result<Words> {
    lines(printed, word)?.into_iter().next().context("there is one")
}

impl Words {
    /// The text of a figure.
    ///
    /// # Errors
    /// When the test did not print it.
    pub fn text(&self, name: &str) -> Result<String> {
        self.0.get(name).cloned().with_context(|| format!("the test printed no {name}"))
    }

    /// A figure.
    ///
    /// # Errors
    /// The same, or when it is no number.
    pub fn number(&self, name: &str) -> Result<f64> {
        self.text(name)?.parse().with_context(|| format!("{name} is no number"))
    }
}

impl Row {
    /// A figure in its unit.
    pub fn new(what: String, unit: &'static str, measured: f64) -> Row {
        Row { what, unit, measured, beside: None, target: None }
    }

    /// The same beside another figure of this name.
    pub fn beside(self, name: &'static str, value: f64) -> Row {
        Row { beside: Some((name, value)), ..self }
    }

    /// The same with a bound.
    pub fn target(self, target: Target) -> Row {
        Row { target: Some(target), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.beside.map(|(_, value)| self.measured / value)
    }

    /// Whether it does; a figure without a target does.
    pub fn meets_its_target(&self) -> bool {
        let value = self.ratio().unwrap_or(self.measured);
        match self.target {
            None => true,
            Some(Target::AtMost(bound)) => value <= bound,
            Some(Target::AtLeast(bound)) => value >= bound,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.meets_its_target()) {
            (None, _) => "",
            (Some(_), true) => "met",
            (Some(_), false) => "MISSED",
        }
    }
}

/// The table for people.
pub fn table(rows: &[Row]) -> String {
    let heading = ["what", "measured", "beside", "ratio", "target", ""].map(str::to_owned);
    let cells = |row: &Row| {
        let figure =
            |value: f64| if row.unit.is_empty() { format!("{value:.3}") } else { format!("{value:.2} {}", row.unit) };
        let whole = row.unit.is_empty() && row.measured.fract() == 0.0;
        let target = match row.target {
            None => String::new(),
            Some(Target::AtMost(bound)) => format!("at most {bound}"),
            Some(Target::AtLeast(bound)) => format!("at least {bound}"),
        };
        [
            row.what.clone(),
            if whole { format!("{:.0}", row.measured) } else { figure(row.measured) },
            row.beside.map(|(name, value)| format!("{} ({name})", figure(value))).unwrap_or_default(),
            row.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default(),
            target,
            row.verdict().to_owned(),
        ]
    };
    let lines: Vec<[String; 6]> = std::iter::once(heading).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let padded = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let padded: Vec<String> = padded.collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The same as JSON: an array of objects.
pub fn json(rows: &[Row]) -> String {
    let mut objects = Vec::new();
    for row in rows {
        let mut object = format!("{{\"what\": {}, \"measured\": {}", quoted(&row.what), row.measured);
        // Writing to a string cannot fail.
        let _ = write!(object, ", \"unit\": {}", quoted(row.unit));
        if let (Some((name, value)), Some(ratio)) = (row.beside, row.ratio()) {
            let _ = write!(object, ", \"beside\": {}, \"value\": {value}, \"ratio\": {ratio}", quoted(name));
        }
        match row.target {
            None => {}
            Some(Target::AtMost(bound)) => _ = write!(object, ", \"at_most\": {bound}"),
            Some(Target::AtLeast(bound)) => _ = write!(object, ", \"at_least\": {bound}"),
        }
        if row.target.is_some() {
            let _ = write!(object, ", \"met\": {}", row.meets_its_target());
        }
        objects.push(format!("  {object}}}"));
    }
    format!("[\n{}\n]\n", objects.join(",\n"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_judged() {
        let printed = "running 1 test\ntest a ... speed regions=14 told=81.5\nspeed of light\nscale regions=1\n";
        let found = lines(printed, "speed").expect("figures");
        assert_eq!(found.len(), 1);
        assert!(lines(printed, "upload").is_err(), "a table without its figures would meet all targets");
        assert_eq!(found[0].text("regions").expect("it"), "14");
        assert!(found[0].number("took").is_err());
        let told = Row::new("told".to_owned(), "s", found[0].number("told").expect("it")).beside("floor", 80.0);
        assert!(told.clone().target(Target::AtMost(1.05)).meets_its_target());
        assert!(!told.clone().target(Target::AtMost(1.01)).meets_its_target());
        assert!(told.clone().target(Target::AtLeast(1.01)).meets_its_target());
        let rows = [told.target(Target::AtMost(1.01))];
        assert!(
            table(&rows).contains("told  81.50 s   80.00 s (floor)  1.019  at most 1.01  MISSED"),
            "{}",
            table(&rows)
        );
        assert!(json(&rows).contains("\"beside\": \"floor\", \"value\": 80, \"ratio\": 1.01875"), "{}", json(&rows));
    }
}
