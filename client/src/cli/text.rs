//! Text for people: aligned tables, times, and words from others that cannot command the terminal.

use griot_protocol::Timestamp;

/// What one cell may take of a line before it is cut.
const CELL_CHARS_MAX: usize = 60;

/// What others wrote, made safe to show: a name or message could otherwise move the cursor, clear the screen, or
/// turn the direction of writing to look like something else. Line breaks and tabs of messages stay.
#[must_use]
pub fn safe(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || c == '\t' { c } else { safe_char(c) }).collect()
}

/// The same for what stands in one line: a name, a reason.
#[must_use]
pub fn safe_line(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { safe_char(c) }).collect()
}

/// A name as a shell takes it, for commands that are shown to be typed.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let safe = safe_line(text);
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_');
    if safe.chars().all(is_plain) { safe } else { format!("'{}'", safe.replace('\'', r"'\''")) }
}

fn safe_char(c: char) -> char {
    let turns_direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if c.is_control() || turns_direction { '\u{fffd}' } else { c }
}

/// `2026-11-23 21:22` (UTC: the machine's zone is not known without asking files that may not be there).
#[must_use]
pub fn time(at: Timestamp) -> String {
    let (days, second) = (at.0 / 86_400, at.0 % 86_400);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", second / 3600, second % 3600 / 60)
}

/// Days since 1970-01-01 as a date of the Gregorian calendar: Howard Hinnant's `civil_from_days`, whose year begins in
/// March so that the leap day is the last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days.min(u64::from(u32::MAX)) + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Rows in columns, two spaces apart, the last one as long as it is. Cells come from others: they are made safe.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let head: Vec<String> = head.iter().map(|&cell| cell.to_owned()).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(|cell| cut(&safe_line(cell))).collect()).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
    all.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

fn cut(cell: &str) -> String {
    if cell.chars().count() <= CELL_CHARS_MAX {
        return cell.to_owned();
    }
    cell.chars().take(CELL_CHARS_MAX - 1).chain(['…']).collect()
}

/// `1 message`, `2 messages`.
#[must_use]
pub fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_at_the_edges_of_the_calendar() {
        for (second, shown) in [
            (0, "1970-01-01 00:00"),
            (951_782_399, "2000-02-28 23:59"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_800, "2000-03-01 00:00"),
            (1_795_468_980, "2026-11-23 21:23"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(time(Timestamp(second)), shown);
        }
        assert!(!time(Timestamp(u64::MAX)).is_empty());
    }

    #[test]
    fn words_from_others_cannot_command_the_terminal() {
        let shown = safe("a\u{1b}[2J\u{202e}b\u{9b}\r\nc\td");
        assert_eq!(shown, "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}\nc\td");
        assert_eq!(safe_line("a\nb\tc\u{7}"), "a b c\u{fffd}");
    }

    #[test]
    fn a_name_in_a_command_that_is_shown_can_be_typed_as_it_stands() {
        assert_eq!(shell_word("Élodie"), "Élodie");
        assert_eq!(shell_word("Kofi Annan"), "'Kofi Annan'");
        assert_eq!(shell_word("N'Golo; rm"), r"'N'\''Golo; rm'");
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "Élodie".to_owned()], vec!["bcd".to_owned(), "x".repeat(90)]];
        let lines = table(&["ID", "NAME"], &rows);
        assert_eq!(lines[0], "ID   NAME");
        assert_eq!(lines[1], "a    Élodie");
        assert!(lines[2].starts_with("bcd  xxx") && lines[2].ends_with('…'));
    }
}
