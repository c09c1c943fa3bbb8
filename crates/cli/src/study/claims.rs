//! The paper's claims about prototypes, held against rows that were measured.

use super::{Method, Row};

/// What the rows of all clips say about one greedy selection.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Claims {
    /// The greedy selection.
    pub method: Method,
    /// Pairs of rows with the same clip and count, against segment means.
    pub against_segment_means: Tally,
    /// The same against candidates drawn at random.
    pub against_random: Tally,
    /// For every row of the selection: whether the cheapest Nyström of at most its token error needs more.
    pub against_nystrom: AtEqualError,
    /// The same for Performer.
    pub against_performer: AtEqualError,
}

/// How often the greedy selection had the smaller error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Smaller error of the trajectory tokens.
    pub fewer_token_errors: usize,
    /// Smaller error of the layer's output.
    pub fewer_layer_errors: usize,
    /// Pairs.
    pub pairs: usize,
}

/// How often the greedy selection was cheaper at equal error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct AtEqualError {
    /// Rows of the greedy selection.
    pub rows: usize,
    /// Rows whose error the other never reached.
    pub never_reached: usize,
    /// Rows whose error the other reached, with more operations.
    pub fewer_operations: usize,
    /// Rows whose error the other reached, with more scratch memory.
    pub less_memory: usize,
}

/// Holds the claims against the rows of each clip, for both greedy selections.
pub fn claims(clips: &[Vec<Row>]) -> Vec<Claims> {
    let of_method = |method| Claims {
        method,
        against_segment_means: tally(clips, method, Method::SegmentMeans),
        against_random: tally(clips, method, Method::Random),
        against_nystrom: at_equal_error(clips, method, Method::Nystrom),
        against_performer: at_equal_error(clips, method, Method::Performer),
    };
    [Method::OrthogonalSum, Method::OrthogonalMax].map(of_method).to_vec()
}

fn of(rows: &[Row], method: Method) -> impl Iterator<Item = &Row> {
    rows.iter().filter(move |row| row.method == Some(method))
}

fn tally(clips: &[Vec<Row>], own: Method, other: Method) -> Tally {
    let mut tally = Tally::default();
    for rows in clips {
        for own in of(rows, own) {
            if let Some(other) = of(rows, other).find(|row| row.count == own.count) {
                tally.pairs += 1;
                tally.fewer_token_errors += usize::from(own.token_error < other.token_error);
                tally.fewer_layer_errors += usize::from(own.layer_error < other.layer_error);
            }
        }
    }
    tally
}

fn at_equal_error(clips: &[Vec<Row>], own: Method, other: Method) -> AtEqualError {
    let mut found = AtEqualError::default();
    for rows in clips {
        for own in of(rows, own) {
            let reaching = || of(rows, other).filter(|row| row.token_error <= own.token_error);
            let (operations, memory) =
                (reaching().map(|row| row.multiply_adds).min(), reaching().map(|row| row.scratch_bytes).min());
            found.rows += 1;
            found.never_reached += usize::from(operations.is_none());
            found.fewer_operations += usize::from(operations.is_some_and(|least| own.multiply_adds < least));
            found.less_memory += usize::from(memory.is_some_and(|least| own.scratch_bytes < least));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(method: Method, count: u32, token_error: f64, multiply_adds: u64, scratch_bytes: u64) -> Row {
        Row {
            method: Some(method),
            name: String::new(),
            count,
            token_error,
            token_cosine: 1.0,
            layer_error: 1.0 - token_error,
            layer_cosine: 1.0,
            peak_agreement: 1.0,
            multiply_adds,
            scratch_bytes,
            device_bytes: 0,
            milliseconds: 0.0,
        }
    }

    #[test]
    fn claims_count_what_the_rows_say() {
        let clip = vec![
            row(Method::OrthogonalMax, 8, 0.5, 10, 100),
            row(Method::OrthogonalMax, 16, 0.3, 20, 200),
            row(Method::Random, 8, 0.6, 9, 90),
            row(Method::Random, 16, 0.2, 18, 90),
            row(Method::Nystrom, 8, 0.7, 9, 90),
            row(Method::Nystrom, 16, 0.4, 15, 90),
        ];
        let claims = claims(&[clip]);
        assert_eq!(claims[0].against_random, Tally::default());
        let [_, max] = claims.as_slice() else { panic!("two selections") };
        assert_eq!(max.against_random, Tally { fewer_token_errors: 1, fewer_layer_errors: 1, pairs: 2 });
        let reached = AtEqualError { rows: 2, never_reached: 1, fewer_operations: 1, less_memory: 0 };
        assert_eq!(max.against_nystrom, reached);
        assert_eq!(max.against_performer.never_reached, 2);
    }
}
