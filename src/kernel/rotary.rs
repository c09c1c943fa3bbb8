//! Rotary positions along three axes.

use super::declaration::{count, kernel};
use crate::view::indices;

kernel! {
    /// Rotary positions (`rotary`) of tokens on a grid of frames, rows and columns: along each axis pairs of elements turn by the token's
    /// position there. Pair `i` of axis `a` is the elements `e = 2 (a pairs + i)` and `e + 1` of a head:
    ///
    /// ```text
    /// y[e]     = table[position, 0, i] x[e]     - table[position, 2, i] x[e + 1]
    /// y[e + 1] = table[position, 1, i] x[e + 1] + table[position, 3, i] x[e]
    /// ```
    ///
    /// Elements beyond the three axes stay as they are.
    Rotary, RotaryParams, "rotary", |p|
    sizes {
        /// Batch items.
        batch,
        /// Heads.
        heads,
        /// Tokens, frame by frame and row by row.
        tokens,
        /// Elements of a token in one head.
        head_size "head size",
        /// Pairs of elements that turn along one axis.
        pairs "pairs of an axis",
    }
    given {
        /// Rows of a frame.
        rows,
        /// Columns of a frame.
        columns,
    }
    checks {
        "tokens of a frame": count(&[p.rows, p.columns]) => p.tokens,
        "elements of three axes": count(&[6, p.pairs]) => p.head_size,
    }
    read x as any {
        /// Queries or keys.
        x: [batch, heads, tokens; head_size],
    }
    read table {
        /// At each position the cosines of the first elements of pairs, those of the second, and the sines of both.
        table: [(p.positions()), (4); pairs],
    }
    write y as any {
        /// The same, turned.
        y: [batch, heads, tokens; head_size],
    }
    workgroup: 64,
    workgroups: count(&[p.batch, p.tokens, p.heads, p.head_size]).div_ceil(64),
    multiply_adds: count(&[p.batch, p.tokens, p.heads, p.pairs, 12]),
    iterations: 0,
    accesses_in_range: true,
    reference: reference,
}

impl RotaryParams {
    /// Positions along the longest axis.
    fn positions(&self) -> u64 {
        let frames = u64::from(self.tokens).div_ceil(count(&[self.rows, self.columns]).max(1));
        frames.max(self.rows.into()).max(self.columns.into())
    }
}

/// Inputs: x, table; output: y.
fn reference(p: &RotaryParams, inputs: &[&[f32]], y: &mut [f32]) {
    let &[x, table] = inputs else { return };
    for index @ [_, _, token] in indices([p.batch, p.heads, p.tokens]) {
        let from = p.x.row(x, &index, p.head_size);
        let mut turned: Vec<f64> = from.iter().map(|&element| element.into()).collect();
        let at = [token / (p.rows * p.columns), token / p.columns % p.rows, token % p.columns];
        for ([axis, pair], position) in indices([3, p.pairs]).map(|[axis, pair]| ([axis, pair], at[axis as usize])) {
            let factor = |part| f64::from(p.table.row(table, &[position, part], p.pairs)[pair as usize]);
            let first = 2 * (axis * p.pairs + pair) as usize;
            let [a, b] = [first, first + 1].map(|element| f64::from(from[element]));
            turned[first] = factor(0) * a - factor(2) * b;
            turned[first + 1] = factor(1) * b + factor(3) * a;
        }
        let results = p.y.row_mut(y, &index, p.head_size);
        results.iter_mut().zip(turned).for_each(|(result, element)| *result = element as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::kernel::Request;
    use crate::plan::{PlanBuilder, PlanLimits, Role};
    use crate::view::{BoundView, View};

    /// Two clips of two frames of two rows of three columns, four heads of twelve elements; of the keys of packed tokens.
    fn request(builder: &mut PlanBuilder, positions: u64, pairs: u64) -> Rotary {
        let packed = builder.array("packed", &[2, 12, 144], Role::Input).expect("small");
        let table = builder.array("table", &[positions, 4, pairs], Role::Input).expect("small");
        let y = builder.array("y", &[2, 12, 48], Role::Output).expect("small");
        let by_heads = |view: View| view.split(2, 12).ordered(&[0, 2, 1, 3]);
        Rotary { x: by_heads(packed.part(2, 48, 48)), table, y: by_heads(y), rows: 2, columns: 3 }
    }

    #[test]
    fn a_request_is_what_strides_say() {
        let request = request(&mut PlanBuilder::new(PlanLimits::default()), 3, 2);
        let (params, _) = request.place().expect("they fit");
        let expected = RotaryParams {
            x: BoundView::new(48, &[12 * 144, 12, 144]),
            table: BoundView::new(0, &[8, 2]),
            y: BoundView::new(0, &[12 * 48, 12, 48]),
            batch: 2,
            heads: 4,
            tokens: 12,
            head_size: 12,
            pairs: 2,
            rows: 2,
            columns: 3,
        };
        assert_eq!(params, expected);
    }

    #[test]
    fn what_would_read_beyond_the_table_or_a_head_is_refused() {
        let refusal = |positions, pairs, [rows, columns]: [u32; 2]| {
            let mut builder = PlanBuilder::new(PlanLimits::default());
            let request = Rotary { rows, columns, ..request(&mut builder, positions, pairs) };
            builder.launch("rotary", request).expect_err("refused")
        };
        assert!(matches!(refusal(2, 2, [2, 3]), Error::ViewMismatch { view: "table", given: 2, expected: 3, .. }));
        assert!(matches!(refusal(5, 2, [2, 1]), Error::ViewMismatch { view: "table", given: 5, expected: 6, .. }));
        let wide = refusal(3, 3, [2, 3]);
        assert!(matches!(wide, Error::TooLarge { what: "elements of three axes", given: 18, most: 12 }), "{wide}");
        assert!(matches!(refusal(12, 2, [0, 3]), Error::ZeroSize { what: "rows" }));
        assert!(matches!(refusal(13, 2, [13, 1]), Error::TooLarge { what: "tokens of a frame", given: 13, most: 12 }));
        refusal(u32::MAX.into(), 2, [u32::MAX; 2]);
    }
}
