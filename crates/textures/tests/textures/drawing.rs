//! The example that draws: its pixels.

use crate::offscreen;
use crate::scene::{ENLARGED, PICTURE, SIDE, SIZE, centre};

/// How bright a pixel is: the hottest ones are yellow, and the picture below is dark.
fn brightness(picture: &[u8], [x, y]: [u32; 2]) -> i32 {
    let pixel = &picture[4 * (y * SIZE[0] + x) as usize..][..4];
    i32::from(pixel[0]) + i32::from(pixel[1])
}

#[test]
fn the_heat_is_where_the_disc_is_in_every_frame() {
    let (device, queue) = offscreen::open().expect("a device");
    let times = [0, 1, 9, 24, 36];
    let pictures = offscreen::frames(&device, &queue, &times).expect("draws");
    for (time, picture) in times.into_iter().zip(&pictures) {
        assert_eq!(picture.len() as u32, 4 * SIZE[0] * SIZE[1]);
        // The brightest patch, by the mean over its pixels.
        let patch = |x: u32, y: u32| {
            let side = SIDE * ENLARGED;
            let pixels = (0..side * side).map(|i| brightness(picture, [x * side + i % side, y * side + i / side]));
            (pixels.sum::<i32>() / (side * side) as i32, x, y)
        };
        let [columns, rows] = PICTURE.map(|size| size / SIDE);
        let all: Vec<_> = (0..columns * rows).map(|i| patch(i % columns, i / columns)).collect();
        let (hottest, x, y) = all.iter().max().copied().expect("patches");
        let at = centre(time);
        let away = [x, y].iter().zip(at).map(|(&patch, at)| ((patch * SIDE + SIDE / 2) as f32 - at).powi(2)).sum::<f32>().sqrt();
        assert!(away < 1.5 * SIDE as f32, "time {time}: hottest at patch {x},{y}, the disc at {at:?}");
        // Only there: most of the ground stays cold.
        let cold = all.iter().filter(|(brightness, ..)| *brightness < hottest * 4 / 5).count();
        assert!(hottest > 200 && cold * 10 > all.len() * 8, "time {time}: {hottest}, {cold} of {} cold", all.len());
    }
}
