//! A picture of the terminal during a release, as SVG: what the player leaves on a real one, cell by cell.

use std::{fmt::Write as _, process::Command};

/// The variable that has the player end where it would stand still.
pub const ENDS: &str = "LIVE_ENDS";

/// The command line that the picture begins with.
const TYPED: &str = "$ cargo xtask ami --version 0.6.1";

/// The size of the terminal. The picture has only the rows that are not empty.
const COLUMNS: u16 = 90;
const ROWS: u16 = 60;

/// The moment of the release, in seconds: the image is verified and copied.
const MOMENT: u32 = 640;

/// The size of a cell and of the margin, in pixels.
const CELL: (f32, f32) = (8.4, 19.0);
const MARGIN: f32 = 16.0;

const BACKGROUND: &str = "#181a1f";
const TEXT: &str = "#d8dbe2";
const DIM: &str = "#989ba3";

/// Writes the picture to a file.
pub fn write(file: &str) {
    let screen = played();
    std::fs::write(file, svg(screen.screen())).expect("the picture is written");
}

/// The terminal at that moment.
fn played() -> vt100::Parser {
    let program = std::env::current_exe().expect("this program");
    let program = program.to_str().expect("a path in UTF-8");
    let play = shlex::try_join([program, "1000", "14", &MOMENT.to_string(), &MOMENT.to_string()]).expect("words");
    let command = format!("stty cols {COLUMNS} rows {ROWS} && exec {play}");
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env(ENDS, "1")
        .env("TERM", "xterm-256color");
    for name in ["CI", "GITHUB_ACTIONS", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LIVE_VERBOSE"] {
        script.env_remove(name);
    }
    let output = script.stdin(std::process::Stdio::null()).output().expect("script, of Debian's package bsdutils");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
    terminal.process(format!("{TYPED}\r\n").as_bytes());
    terminal.process(&output.stdout);
    terminal
}

/// Cells side by side that look the same.
struct Run {
    column: u16,
    style: String,
    text: String,
}

fn svg(screen: &vt100::Screen) -> String {
    let rows: Vec<Vec<Run>> = (0..ROWS).map(|row| runs(screen, row)).collect();
    let used = rows.iter().rposition(|runs| !runs.is_empty()).map_or(0, |last| last + 1);
    let (width, height) = (f32::from(COLUMNS) * CELL.0 + 2.0 * MARGIN, used as f32 * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"14\" fill=\"{TEXT}\">\n\
         <title>A release in a terminal</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{BACKGROUND}\"/>\n"
    );
    for (row, runs) in rows.iter().take(used).enumerate() {
        let y = MARGIN + CELL.1 * (row as f32 + 0.75);
        for Run { column, style, text } in runs {
            let (x, length) = (MARGIN + f32::from(*column) * CELL.0, text.chars().count() as f32 * CELL.0);
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
            // The length keeps the columns, whichever font there is.
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\"{style}>{text}</text>");
        }
    }
    svg + "</svg>\n"
}

/// The text of a row, without the spaces around each run.
fn runs(screen: &vt100::Screen, row: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for column in 0..COLUMNS {
        let Some(cell) = screen.cell(row, column) else { continue };
        let (style, text) = (style(cell), if cell.has_contents() { cell.contents() } else { " " });
        match runs.last_mut() {
            Some(run) if run.style == style => run.text.push_str(text),
            _ => runs.push(Run { column, style, text: text.to_owned() }),
        }
    }
    for run in &mut runs {
        let indent = run.text.chars().take_while(|c| *c == ' ').count();
        run.column += u16::try_from(indent).unwrap_or_default();
        run.text = run.text.trim().to_owned();
    }
    runs.retain(|run| !run.text.is_empty());
    runs
}

/// How a cell looks, as attributes.
fn style(cell: &vt100::Cell) -> String {
    let colour = match cell.fgcolor() {
        vt100::Color::Idx(1 | 9) => Some("#e06c75"),
        vt100::Color::Idx(2 | 10) => Some("#78be6e"),
        vt100::Color::Idx(3 | 11) => Some("#d7a65f"),
        vt100::Color::Idx(6 | 14) => Some("#56b6c2"),
        _ if cell.dim() => Some(DIM),
        _ => None,
    };
    let fill = colour.map(|colour| format!(" fill=\"{colour}\"")).unwrap_or_default();
    fill + if cell.bold() { " font-weight=\"bold\"" } else { "" }
}
