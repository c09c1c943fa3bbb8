//! Loops of a shader's machine code, as Mesa's compilers print it.

/// Multiply-adds per instruction in the hottest loop: of the innermost loops the one with most of them. `None` without such a loop.
pub fn multiply_add_share(code: &str) -> Option<f64> {
    let lines: Vec<Line> = code.lines().filter_map(Line::read).collect();
    let of = |(first, last): (usize, usize)| {
        let inside = lines.get(first..=last)?;
        let multiply_adds: usize = inside.iter().map(|line| line.multiply_adds).sum();
        (multiply_adds > 0).then_some((multiply_adds, inside.iter().map(|line| line.instructions).sum::<usize>()))
    };
    let (multiply_adds, instructions) = innermost_loops(&lines).into_iter().filter_map(of).max_by_key(|found| found.0)?;
    Some(multiply_adds as f64 / instructions.max(1) as f64)
}

/// A label or an instruction.
#[derive(Debug, Default)]
struct Line<'c> {
    label: Option<&'c str>,
    words: Vec<&'c str>,
    /// Instructions, repeated ones each.
    instructions: usize,
    multiply_adds: usize,
}

impl<'c> Line<'c> {
    /// Reads a line; `None` for comments and empty lines.
    fn read(line: &'c str) -> Option<Self> {
        let line = line.split(';').next().unwrap_or("").split("//").next().unwrap_or("").trim();
        let words: Vec<&str> =
            line.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let first = words.first()?;
        // AMD's and Adreno's labels stand alone; NVIDIA's third word names a block: `block.u 256 L451 [...] -> {`.
        let label = match line.strip_suffix(':') {
            Some(name) => Some(name),
            None if *first == "block" => words.iter().copied().find(|word| is_name(word, "L")),
            None => None,
        };
        if label.is_some() || line.starts_with('}') {
            return label.map(|label| Self { label: Some(label), ..Self::default() });
        }
        // Adreno repeats an instruction: `(rpt2)mad.f32`.
        let repeated = words.iter().find_map(|word| word.strip_prefix("rpt")?.parse::<usize>().ok()).unwrap_or(0) + 1;
        let multiply_adds = repeated * (line.matches("fma").count() + line.matches("mad.f").count());
        Some(Self { label: None, words, instructions: repeated, multiply_adds })
    }
}

fn is_name(word: &str, prefix: &str) -> bool {
    word.strip_prefix(prefix).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// First and last line of each loop that has no other inside: from a label to the last branch back to it.
fn innermost_loops(lines: &[Line]) -> Vec<(usize, usize)> {
    let starts: std::collections::BTreeMap<&str, usize> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((line.label?, at))).collect();
    let mut ends = std::collections::BTreeMap::new();
    for (at, line) in lines.iter().enumerate() {
        for &start in line.words.iter().filter_map(|word| starts.get(word)).filter(|&&start| start < at) {
            ends.insert(start, at);
        }
    }
    let all: Vec<(usize, usize)> = ends.into_iter().collect();
    let has_inner =
        |&(first, last): &(usize, usize)| all.iter().any(|&(a, b)| (a, b) != (first, last) && a >= first && b <= last);
    all.iter().copied().filter(|one| !has_inner(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hottest_innermost_loop_counts() {
        let amd = "BB1:\n\tv_mov_b32 v1, v2 ; 7e02\nBB2:\n\tv_fmac_f32 v1, v2, v3\n\tv_dual_fmac_f32 v1, v2, v3 :: v_dual_fmac_f32 v4, v5, v6\n\
                   \tds_load_b128 v1\n\ts_cbranch_scc1 BB2\n\tv_fma_f32 v1, v2, v3, v4\n\ts_cbranch_scc1 BB1\n";
        assert_eq!(multiply_add_share(amd), Some(0.75));
        let nvidia = "block.u 1 L4 [0] -> {\n  r1 = ffma.ftz r1 r2 r3   // delay=1\n  bra pT L4  // delay=1\n} -> [1]\n";
        assert_eq!(multiply_add_share(nvidia), Some(0.5));
        let adreno = "l7:\n(rpt2)mad.f32 r1.x, r2.x, r3.x, r4.x\nbr !p0.x, #l7\n";
        assert_eq!(multiply_add_share(adreno), Some(0.75));
        assert_eq!(multiply_add_share("v_fma_f32 v1, v2, v3, v4\n"), None);
    }
}
