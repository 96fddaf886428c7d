//! A line of parts and words that is broken where a terminal is too narrow for it.

use anstyle::Style;
use textwrap::core::display_width;
use textwrap::{Options, WordSplitter};

use super::output::{LEAST, styled};

/// A line as it grows. Where there is no width, as when the output is piped, it stays one line.
pub struct Line {
    text: String,
    width: Option<usize>,
    /// Where the lines begin for which there is no room beside what stands already.
    indent: usize,
    /// Where the cursor is.
    column: usize,
    /// Blanks that come before the next part, unless it begins a line.
    gap: usize,
}

impl Line {
    /// A line that begins `start` columns in; what follows it begins `indent` columns in.
    pub fn new(start: usize, indent: usize, width: Option<usize>) -> Self {
        Self {
            text: " ".repeat(start),
            width,
            indent,
            column: start,
            gap: 0,
        }
    }

    /// A part that is not broken: it goes on a line of its own where it does not fit. It takes `least`
    /// columns, and one more before what comes next.
    #[must_use]
    pub fn part(mut self, style: Style, text: &str, least: usize) -> Self {
        let taken = display_width(text);
        self.make_room(taken);
        self.text.push_str(&styled(style, text));
        self.column += taken;
        self.gap = least.saturating_sub(taken) + 1;
        self
    }

    /// Words, which are broken into lines that begin below the first of them.
    #[must_use]
    pub fn words(mut self, style: Style, text: &str) -> Self {
        self.make_room(display_width(text).min(LEAST));
        let start = self.column;
        let lines = match self.width {
            Some(width) => textwrap::wrap(text, whole_words(width.saturating_sub(start))),
            None => vec![text.into()],
        };
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                self.begin_line(start);
            }
            self.text.push_str(&styled(style, line));
            self.column = start + display_width(line);
        }
        self.gap = 1;
        self
    }

    /// The text, without a newline at its end.
    pub fn finish(self) -> String {
        self.text
    }

    /// Goes to where so many columns are free, or else to the begin of a line.
    fn make_room(&mut self, taken: usize) {
        let end = self.column + self.gap + taken;
        if self.column > self.indent && self.width.is_some_and(|width| end > width) {
            self.begin_line(self.indent);
        } else {
            self.text.push_str(&" ".repeat(self.gap));
            self.column += self.gap;
        }
        self.gap = 0;
    }

    fn begin_line(&mut self, column: usize) {
        self.text.push('\n');
        self.text.push_str(&" ".repeat(column));
        self.column = column;
    }
}

/// Tokens such as `no-acceptable-proposal` are for copying: they are not broken at their hyphens.
fn whole_words(room: usize) -> Options<'static> {
    Options::new(room.max(1)).word_splitter(WordSplitter::NoHyphenation)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLAIN: Style = Style::new();

    fn shown(width: Option<usize>) -> String {
        Line::new(2, 4, width)
            .part(PLAIN, "north", 7)
            .part(PLAIN, "127.0.0.1 → 127.0.0.2", 0)
            .words(PLAIN, "the pre-shared keys of the two sides differ")
            .finish()
    }

    #[test]
    fn what_is_piped_is_one_line() {
        assert_eq!(
            shown(None),
            "  north   127.0.0.1 → 127.0.0.2 the pre-shared keys of the two sides differ"
        );
    }

    #[test]
    fn words_are_broken_below_the_first_of_them() {
        assert_eq!(
            shown(Some(60)),
            "  north   127.0.0.1 → 127.0.0.2 the pre-shared keys of the\n\
             \x20                               two sides differ"
        );
    }

    #[test]
    fn a_token_is_not_broken_at_its_hyphens() {
        let text =
            Line::new(0, 0, Some(30)).words(PLAIN, "nothing is allowed [no-acceptable-proposal]");
        assert_eq!(
            text.finish(),
            "nothing is allowed\n[no-acceptable-proposal]"
        );
    }

    #[test]
    fn what_has_no_room_beside_gets_lines_of_its_own() {
        assert_eq!(
            shown(Some(40)),
            "  north   127.0.0.1 → 127.0.0.2\n    the pre-shared keys of the two sides\n    differ"
        );
        assert_eq!(
            shown(Some(30)),
            "  north\n    127.0.0.1 → 127.0.0.2\n    the pre-shared keys of the\n    two sides differ"
        );
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal(words in "([a-z0-9→ ]{0,12} ?){0,20}", width in 30_usize..200) {
            let text = Line::new(2, 4, Some(width))
                .part(PLAIN, "north", 7)
                .part(PLAIN, "127.0.0.1 → 127.0.0.2", 0)
                .words(PLAIN, &words)
                .finish();
            for line in text.lines() {
                prop_assert!(display_width(line) <= width, "{line:?}");
            }
            let kept: String = text.split_whitespace().collect();
            let given: String = words.split_whitespace().collect();
            prop_assert!(kept.ends_with(&given), "{text:?}");
        }
    }
}
