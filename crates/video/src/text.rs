//! Text in pictures, in a font of 8 x 8 pixels.

use font8x8::UnicodeFonts;
use image::RgbImage;

use super::draw::{WHITE, fill};

/// Width and height of a character, pixels.
pub(super) const GLYPH: u32 = 8;

/// Writes text, each pixel of the font as a square of `size` pixels; what the font does not have is left blank.
pub(super) fn draw_text(picture: &mut RgbImage, [left, top]: [i32; 2], text: &str, size: i32) {
    for (index, character) in (0..).zip(text.chars()) {
        let found = font8x8::BASIC_FONTS.get(character).or_else(|| font8x8::LATIN_FONTS.get(character));
        let rows = found.unwrap_or([0; 8]);
        for (y, row) in (0..).zip(rows) {
            for x in (0..8).filter(|x| row >> x & 1 == 1) {
                fill(picture, [left + (index * 8 + x) * size, top + y * size], [size; 2], WHITE);
            }
        }
    }
}

/// Width of a text whose font is not enlarged, pixels.
pub(super) fn text_width(text: &str) -> u32 {
    text.chars().count() as u32 * GLYPH
}

/// The words of a text in lines of at most so many characters; longer words are cut.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, columns.max(1))) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= columns => line.extend([" ", word.as_str()]),
            _ => lines.push(word),
        }
    }
    lines
}

/// A word cut after so many characters.
fn pieces(word: &str, columns: usize) -> Vec<String> {
    let characters: Vec<char> = word.chars().collect();
    characters.chunks(columns).map(String::from_iter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_between_words() {
        let cases: [(&str, usize, &[&str]); 6] = [
            ("heat and rings", 14, &["heat and rings"]),
            ("heat and rings", 13, &["heat and", "rings"]),
            ("heat and rings", 4, &["heat", "and", "ring", "s"]),
            ("a_long_name.mp4: patch", 10, &["a_long_nam", "e.mp4:", "patch"]),
            ("äöü äöü", 3, &["äöü", "äöü"]),
            ("", 5, &[""]),
        ];
        for (text, columns, expected) in cases {
            assert_eq!(wrapped(text, columns), expected, "{text} in {columns}");
        }
        assert_eq!(wrapped("ab", 0), ["a", "b"], "a line holds something");
    }
}
