//! What goes to stdout and stderr: colour and columns on a terminal, plain text when piped.

use std::io::{self, IsTerminal as _, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table};

/// Standard output, buffered.
pub struct Out {
    stream: io::BufWriter<anstream::AutoStream<io::Stdout>>,
    terminal: bool,
}

impl Out {
    /// This process' standard output.
    pub fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        Self {
            stream: io::BufWriter::new(anstream::AutoStream::auto(stdout)),
            terminal,
        }
    }

    /// Whether a person looks.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// The terminal's width, in columns, found as for the tables; nothing where the output is piped,
    /// whose lines are never broken.
    pub fn width(&self) -> Option<usize> {
        self.terminal
            .then(|| Table::new().width())
            .flatten()
            .map(usize::from)
            // As some serial consoles say.
            .filter(|width| *width > 0)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Good news.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Bad news.
pub const BAD: Style = AnsiColor::Red.on_default();
/// What to take care of.
pub const CARE: Style = AnsiColor::Yellow.on_default();
/// Titles.
pub const TITLE: Style = Style::new().bold();
/// What matters less.
pub const FAINT: Style = Style::new().dimmed();

/// The text in that style; the stream leaves the style out where nobody would see it.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Says on stderr why a command failed.
pub fn complain(message: &str) {
    let mut stderr = anstream::stderr().lock();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    // Where stderr is closed there is nobody to tell.
    let _ = if message.contains(": error: ") {
        // A rendered configuration error has its place before the word.
        writeln!(stderr, "{message}")
    } else {
        writeln!(stderr, "{} {message}", styled(BAD, "error:"))
    };
}

/// Says something on stderr that does not fail the command.
pub fn note(message: &str) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{} {message}", styled(CARE, "note:"));
}

/// Says something on stderr as it is.
pub fn say(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{message}");
}

/// Characters below which a column of words is no longer read.
pub const LEAST: usize = 20;

/// Blanks between columns.
const GAP: u16 = 2;

/// A table of aligned columns without lines.
pub struct Columns(Table);

impl Columns {
    /// A table with these titles.
    pub fn new(titles: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(
            titles
                .iter()
                .map(|title| Cell::new(title).add_attribute(comfy_table::Attribute::Bold)),
        );
        Self(table)
    }

    /// Aligns a column to the right, as numbers are.
    pub fn right(&mut self, column: usize) {
        if let Some(column) = self.0.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.0.add_row(cells);
    }

    /// Where the terminal is too narrow for all of it, the last column, which has the long words, is
    /// broken into lines; where there is no room for that either, nothing is.
    fn arrange(&mut self) {
        let widths = self.0.column_max_content_widths();
        let Some((_, others)) = widths.split_last() else {
            return;
        };
        let needed: usize = others.iter().map(|width| usize::from(*width + GAP)).sum();
        let fits = self
            .0
            .width()
            .is_some_and(|width| usize::from(width) >= needed + LEAST);
        self.0.set_content_arrangement(if fits {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        for column in 0..others.len() {
            if let Some(column) = self.0.column_mut(column) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        for column in self.0.column_iter_mut() {
            column.set_padding((0, GAP));
        }
    }

    /// Prints the table.
    pub fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        self.arrange();
        for line in self.0.lines() {
            // Columns are padded; what is piped needs no blanks at the end.
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// A cell, its text made safe to show.
pub fn cell(text: impl AsRef<str>) -> Cell {
    Cell::new(audit::printable(text.as_ref()))
}

/// A cell in a colour; only a terminal shows it.
pub fn coloured(text: impl AsRef<str>, good: bool) -> Cell {
    cell(text).fg(if good { Color::Green } else { Color::Red })
}
