//! Round-trip times between places: a published matrix that is built in, or one's own as CSV.
//!
//! The format: a header `place,NAME,NAME,…`, then for each place its name and one number of milliseconds for each column; a
//! field may be empty where its mirror image is given. `#` begins a comment line.

use std::collections::BTreeMap;

use crate::scenario::limits::LATENCY_MS_MAX;

/// The matrix that is built in, with its sources.
const BUILT_IN: &str = include_str!("round_trips.csv");

/// Places in one matrix: more than regions that a scenario may have.
const PLACES_MAX: usize = 512;

/// A round-trip time for every pair of places.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    places: Vec<String>,
    /// Milliseconds, both ways together, by (row, column).
    round_trips: BTreeMap<(usize, usize), f64>,
}

/// Why a matrix cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// A line is not as it should be.
    #[error("line {line}: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// No such place.
    #[error("there is no place `{place}` in the matrix; it has {known}")]
    Place {
        /// The place asked for.
        place: String,
        /// Those there are.
        known: String,
    },
    /// A pair has no time.
    #[error("the matrix says nothing about {from} and {to}")]
    Pair {
        /// One place.
        from: String,
        /// The other.
        to: String,
    },
}

impl Matrix {
    /// The built-in one.
    ///
    /// # Errors
    /// None: a test reads it.
    pub fn built_in() -> Result<Self, CsvError> {
        Self::parse(BUILT_IN)
    }

    /// Reads a matrix.
    ///
    /// # Errors
    /// [`CsvError::Line`].
    pub fn parse(text: &str) -> Result<Self, CsvError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(number, line)| (number + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let wrong = |line: usize, what: String| CsvError::Line { line, what };
        let (number, header) = lines.next().ok_or_else(|| wrong(1, "there is no header `place,NAME,…`".into()))?;
        let places: Vec<String> = header.split(',').skip(1).map(|name| name.trim().to_owned()).collect();
        if places.is_empty() || places.len() > PLACES_MAX || places.iter().any(String::is_empty) {
            return Err(wrong(number, format!("the header must name between 1 and {PLACES_MAX} places")));
        }
        let mut round_trips = BTreeMap::new();
        for (number, line) in lines {
            let mut fields = line.split(',').map(str::trim);
            let name = fields.next().unwrap_or_default();
            let row = places.iter().position(|place| place == name);
            let row = row.ok_or_else(|| wrong(number, format!("`{name}` is not in the header")))?;
            for (column, field) in fields.enumerate() {
                if column >= places.len() {
                    return Err(wrong(number, format!("more than {} numbers", places.len())));
                }
                if field.is_empty() {
                    continue;
                }
                let ms: f64 = field.parse().map_err(|_| wrong(number, format!("`{field}` is not a number")))?;
                if !(0.0..=2.0 * f64::from(LATENCY_MS_MAX)).contains(&ms) {
                    return Err(wrong(number, format!("{field} ms is not between 0 and {}", 2 * LATENCY_MS_MAX)));
                }
                round_trips.insert((row, column), ms);
            }
        }
        Ok(Self { places, round_trips })
    }

    /// The names of its places.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(String::as_str)
    }

    /// Half of the round trip from each of these places to each, rounded to milliseconds.
    ///
    /// # Errors
    /// [`CsvError::Place`] and [`CsvError::Pair`].
    pub fn one_way(&self, of: &[&str]) -> Result<Vec<Vec<u32>>, CsvError> {
        let rows: Vec<usize> = of
            .iter()
            .map(|name| {
                self.places
                    .iter()
                    .position(|place| place == name)
                    .ok_or_else(|| CsvError::Place { place: (*name).to_owned(), known: self.places.join(", ") })
            })
            .collect::<Result<_, _>>()?;
        let half = |from: usize, to: usize| {
            let ms = self.round_trips.get(&(from, to)).or_else(|| self.round_trips.get(&(to, from)));
            let missing = || CsvError::Pair { from: self.places[from].clone(), to: self.places[to].clone() };
            ms.map(|ms| libm::round(ms / 2.0) as u32).ok_or_else(missing)
        };
        rows.iter().map(|from| rows.iter().map(|to| half(*from, *to)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_matrix_is_whole_and_symmetric() {
        let matrix = Matrix::built_in().unwrap();
        let places: Vec<&str> = matrix.places().collect();
        let one_way = matrix.one_way(&places).unwrap();
        for (a, row) in one_way.iter().enumerate() {
            for (b, ms) in row.iter().enumerate() {
                assert_eq!(*ms, one_way[b][a], "{} {}", places[a], places[b]);
                assert!(*ms > 0);
            }
        }
        // As published: 76 ms between East US and UK South.
        assert_eq!(matrix.one_way(&["us-east", "uk"]).unwrap()[0][1], 38);
    }

    #[test]
    fn ones_own_matrix_may_be_a_triangle() {
        let matrix = Matrix::parse("# mine\nplace,a,b\na,2,31.5\nb,,4\n").unwrap();
        assert_eq!(matrix.one_way(&["b", "a"]).unwrap(), vec![vec![2, 16], vec![16, 1]]);
        assert!(matrix.one_way(&["c"]).unwrap_err().to_string().contains("a, b"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, word) in [
            ("", 1, "header"),
            ("place,a\nb,1\n", 2, "`b`"),
            ("place,a\n\na,x\n", 3, "`x`"),
            ("place,a\na,1,2\n", 2, "more than 1"),
            ("place,a\na,-1\n", 2, "-1"),
            ("place,a\na,nan\n", 2, "nan"),
        ] {
            let error = Matrix::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}")) && error.contains(word), "{text:?}: {error}");
        }
        let hole = Matrix::parse("place,a,b\na,1\nb,,1\n").unwrap();
        assert!(hole.one_way(&["a", "b"]).unwrap_err().to_string().contains("nothing about a and b"));
    }
}
